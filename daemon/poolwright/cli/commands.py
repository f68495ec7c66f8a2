"""What each command does: parse, call, print."""

import asyncio
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from poolwright.cli import EXIT_NO, EXIT_OUTSIDE, EXIT_USAGE
from poolwright.cli.environment import read_settings
from poolwright.errors import RuleFileError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Autoscaler of LLM fleets.")
traces = typer.Typer(no_args_is_help=True, help="Traces of recorded decisions.")
app.add_typer(traces, name="traces")
out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def _refuse(error: RuleFileError, *, as_json: bool) -> NoReturn:
    """Every problem: for people with its line, for machines as a list."""
    from poolwright.rulefiles.excerpts import excerpts  # noqa: PLC0415

    if as_json:
        _print_json([asdict(problem) for problem in error.problems])
    else:
        count = len(error.problems)
        for text in excerpts(error.problems):
            sys.stderr.write(f"{text}\n")
        sys.stderr.write(f"{count} problem{'s' if count != 1 else ''}; nothing of it is loaded\n")
    raise typer.Exit(EXIT_NO)


@app.command()
def run() -> None:
    """Runs the daemon (settings: POOLWRIGHT_* variables)."""
    from poolwright.runtime.daemon import Daemon  # noqa: PLC0415
    from poolwright.runtime.timekeeping import make_clock  # noqa: PLC0415

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    settings = read_settings()

    async def serve() -> None:
        await Daemon(settings, make_clock(settings.clock)).run()

    asyncio.run(serve())


@app.command()
def demo(
    seconds: Annotated[float, typer.Option(help="Real seconds to play at most.")] = 75.0,
    speed: Annotated[float, typer.Option(help="Event seconds a real second.")] = 60.0,
) -> None:
    """A bursty hour in a minute: embedded broker, simulated pools, live decisions."""
    from poolwright.runtime.demo import run_demo  # noqa: PLC0415

    sys.exit(run_demo(out, seconds=seconds, speed=speed))


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A rule file or a directory.")],
    as_json: AsJson = False,
) -> None:
    """Checks rule files: every problem with file, line, column and what to do."""
    from poolwright import rulefiles  # noqa: PLC0415
    from poolwright.actuation.registry import targets  # noqa: PLC0415
    from poolwright.rulefiles.excerpts import excerpts  # noqa: PLC0415

    try:
        rules = rulefiles.load(path, providers=targets())
    except RuleFileError as error:
        _refuse(error, as_json=as_json)
    if as_json:
        _print_json([])
        return
    for text in excerpts(rules.warnings):
        sys.stderr.write(f"warning: {text}\n")
    names = ", ".join(service.service for service in rules.services)
    out.print(f"ok: {len(rules.services)} service(s) ({names}), revision {rules.revision}")


@app.command()
def test(
    path: Annotated[Path, typer.Argument(help="A rule test file or a directory.")],
    as_json: AsJson = False,  # noqa: PT028  a command, not a test
) -> None:
    """Runs unit tests of rules, without a daemon."""
    from poolwright.runtime.rule_tests import run_rule_tests  # noqa: PLC0415

    try:
        results = run_rule_tests(path)
    except RuleFileError as error:
        _refuse(error, as_json=as_json)
    if as_json:
        _print_json([{"name": r.name, "failures": r.failures} for r in results])
    else:
        for result in results:
            out.print(f"{'FAIL' if result.failures else 'ok  '} {result.name}", highlight=False)
            for failure in result.failures:
                out.print(f"     {failure}", highlight=False)
    if not results:
        err.print(f"no rule tests found in {path}")
        raise typer.Exit(EXIT_USAGE)
    if any(result.failures for result in results):
        raise typer.Exit(EXIT_NO)


@app.command()
def replay(
    trace: Annotated[Path, typer.Argument(help="A trace, or a journal (.db) to decide again.")],
    rules: Annotated[Path | None, typer.Option(help="Rule file or directory.")] = None,
    plant: Annotated[
        Path | None,
        typer.Option(
            help="Plant file, or a folder with the service's; default: as the rule file says."
        ),
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="Which service; default: the only one.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the simulated plant.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Plays a trace through the rules on the simulated plant, or decides a journal again."""
    from poolwright.runtime import replaying  # noqa: PLC0415

    if trace.suffix == ".db":
        raise typer.Exit(replaying.decide_journal_again(trace, out, as_json=as_json))
    if rules is None:
        err.print("--rules is needed to replay a trace")
        raise typer.Exit(EXIT_USAGE)
    options = replaying.ReplayOptions(trace, rules, plant, service, seed)
    replaying.replay_trace(options, out, err, as_json=as_json)


@app.command()
def backtest(
    rules: Annotated[Path, typer.Option(help="Rule file or directory.")],
    traces: Annotated[
        list[Path] | None, typer.Argument(help="Traces in the formats of `replay`, or journals.")
    ] = None,
    prometheus: Annotated[
        str | None, typer.Option(help="URL of a server whose record is played, too.")
    ] = None,
    days: Annotated[
        float, typer.Option(min=0.01, help="Of journals and Prometheus: how much, the newest.")
    ] = 1.0,
    plant: Annotated[
        Path | None,
        typer.Option(
            help="Plant file, or a folder with the service's; default: as the rule file says."
        ),
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="Which service; default: the only one.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="hpa,kpa,ray,skyserve,dynamo,wva,static,clairvoyant or `none`; "
            "default: all, with --baseline none."
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help="Old rules: exit code 1 where the new are past a bound."),
    ] = None,
    max_cost_increase: Annotated[str, typer.Option(help="Over the old rules.")] = "5%",
    max_more_slo_minutes: Annotated[int, typer.Option(help="Minutes below a goal.")] = 0,
    max_more_actions: Annotated[str, typer.Option(help="Scale actions.")] = "50%",
    min_attainment: Annotated[
        str | None,
        typer.Option(help="Of every class; default: what the old rules kept must be kept."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="HTML page to write.")] = None,
    seed: Annotated[int, typer.Option(help="Of the simulated plant.")] = 1,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one for each processor.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compares the rules with other autoscalers, or with older rules, on traces."""
    from poolwright.backtest.command import BacktestOptions, run_backtest, share  # noqa: PLC0415
    from poolwright.backtest.judging import Bounds  # noqa: PLC0415

    floor = None if min_attainment is None else share(min_attainment, "--min-attainment")
    bounds = Bounds(
        share(max_cost_increase, "--max-cost-increase"),
        max_more_slo_minutes,
        share(max_more_actions, "--max-more-actions"),
        floor,
    )
    options = BacktestOptions(
        traces=tuple(traces or ()),
        rules=rules,
        plant=plant,
        service=service,
        against=against,
        baseline=baseline,
        report=report,
        bounds=bounds,
        seed=seed,
        jobs=jobs,
        prometheus=prometheus,
        days=days,
        history=read_settings().history,
    )
    raise typer.Exit(run_backtest(options, out, err, as_json_text=as_json))


@app.command()
def explain(
    decision: Annotated[str, typer.Argument(help="An id, the start of one, a pool, or `last`.")],
    as_json: AsJson = False,
) -> None:
    """Why a pool has its count, or why a decision was made."""
    from poolwright.runtime.explaining import explain_from  # noqa: PLC0415
    from poolwright.runtime.timekeeping import make_clock  # noqa: PLC0415

    settings = read_settings()
    journal, now = settings.data / "journal.db", make_clock(settings.clock).now()
    if not explain_from(journal, decision, out, now, as_json=as_json):
        err.print(f"no pool or decision {decision!r} in {journal}; try `poolwright explain last`")
        raise typer.Exit(EXIT_NO)


@traces.command("rebuild")
def rebuild_traces(
    since: Annotated[str, typer.Option(help="How far back: 90m, 24h, 7d.")] = "24h",
    decision: Annotated[
        str | None, typer.Option(help="Only this one: its id or the start of it.")
    ] = None,
) -> None:
    """Sends the spans of recorded decisions to the OTLP endpoint again, with the same ids."""
    from poolwright.runtime.rebuilding import rebuild  # noqa: PLC0415

    raise typer.Exit(rebuild(read_settings(), since, decision, out, err))


@app.command()
def status(as_json: AsJson = False) -> None:
    """What the running daemon sees and does."""
    import httpx2  # noqa: PLC0415

    from poolwright.record.status_view import status_view  # noqa: PLC0415

    settings = read_settings()
    url = f"http://{settings.http_host}:{settings.http_port}/status"
    try:
        answer = httpx2.get(url, timeout=5.0)
        answer.raise_for_status()
    except httpx2.HTTPError as error:
        err.print(f"no daemon answers at {url} ({error}); is `poolwright run` up?")
        raise typer.Exit(EXIT_OUTSIDE) from None
    body = answer.json()
    if as_json:
        _print_json(body)
        return
    out.print(status_view(body))


@app.command()
def schema() -> None:
    """Prints the JSON Schema of rule files, for editors."""
    from poolwright import rulefiles  # noqa: PLC0415

    _print_json(rulefiles.schema())

"""What each command does: parse, call, print."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from poolwright.cli import EXIT_NO, EXIT_OUTSIDE, EXIT_USAGE
from poolwright.cli.console import AsJson, err, out, print_json
from poolwright.cli.environment import read_settings
from poolwright.cli.logs import set_up_logs
from poolwright.cli.rules import check, schema, test

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks would pass by `logs`
    help="Autoscaler of LLM fleets.",
)
traces = typer.Typer(no_args_is_help=True, help="Traces of recorded decisions.")
app.add_typer(traces, name="traces")


@app.command()
def run() -> None:
    """Runs the daemon (settings: POOLWRIGHT_* variables)."""
    from poolwright.runtime.daemon import Daemon  # noqa: PLC0415
    from poolwright.runtime.timekeeping import make_clock  # noqa: PLC0415

    settings = read_settings()
    set_up_logs(settings.log_level)

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


app.command()(check)
app.command()(test)


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
        print_json(body)
        return
    out.print(status_view(body))


app.command()(schema)


@app.command()
def providers(as_json: AsJson = False) -> None:
    """Which providers are installed, and what each needs before it can scale."""
    from poolwright.actuation.catalogue import catalogue  # noqa: PLC0415
    from poolwright.cli.providers_view import providers_body, providers_view  # noqa: PLC0415

    found = catalogue()
    if as_json:
        print_json(providers_body(found))
    else:
        out.print(providers_view(found))

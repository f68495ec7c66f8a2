"""Commands about rule files: check, test, schema."""

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from poolwright.cli import EXIT_NO, EXIT_OUTSIDE, EXIT_USAGE
from poolwright.cli.console import AsJson, err, out, print_json, print_refusal
from poolwright.cli.environment import read_settings
from poolwright.cli.logs import set_up_logs
from poolwright.errors import RuleFileError
from poolwright.model.rule import RuleSet


def check(
    path: Annotated[Path, typer.Argument(help="A rule file or a directory.")],
    live: Annotated[
        bool, typer.Option("--live", help="Ask each pool's provider, too; changes nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Checks rule files: every problem with file, line, column and what to do."""
    from poolwright import rulefiles  # noqa: PLC0415
    from poolwright.actuation.registry import targets  # noqa: PLC0415
    from poolwright.rulefiles.excerpts import excerpts  # noqa: PLC0415

    try:
        rules = rulefiles.load(path, providers=targets(), apis=read_settings().apis)
    except RuleFileError as error:
        if live and as_json:
            problems = [asdict(problem) for problem in error.problems]
            print_json({"problems": problems, "warnings": [], "pools": []})
        else:
            print_refusal(error, as_json=as_json)
        raise typer.Exit(EXIT_NO) from None
    if not as_json:
        for text in excerpts(rules.warnings):
            sys.stderr.write(f"warning: {text}\n")
        names = ", ".join(service.service for service in rules.services)
        out.print(f"ok: {len(rules.services)} service(s) ({names}), revision {rules.revision}")
    if live:
        raise typer.Exit(_look(path, rules, as_json=as_json))
    if as_json:
        print_json([])


def _look(path: Path, rules: RuleSet, *, as_json: bool) -> int:
    """Shows each pool as it is now; the command's exit code."""
    from poolwright.actuation.calls import CALL_TIMEOUT_S  # noqa: PLC0415
    from poolwright.cli.live_view import live_body, live_view  # noqa: PLC0415
    from poolwright.runtime.looking import Verdict, look  # noqa: PLC0415
    from poolwright.runtime.timekeeping import make_clock  # noqa: PLC0415

    settings = read_settings().model_copy(update={"rules": path})
    set_up_logs("DEBUG" if settings.log_level == "DEBUG" else "ERROR")
    pools = sum(len(service.pools) for service in rules.services)
    with err.status(f"asking the providers of {pools} pool(s), at most {CALL_TIMEOUT_S:g} s"):
        looks = asyncio.run(look(rules, settings, make_clock(settings.clock)))
    if as_json:
        print_json(live_body(rules, looks))
    else:
        out.print(live_view(looks))
    verdicts = {found.verdict for found in looks}
    if Verdict.PROBLEM in verdicts:
        return EXIT_NO
    return EXIT_OUTSIDE if Verdict.UNANSWERED in verdicts else 0


def test(
    path: Annotated[Path, typer.Argument(help="A rule test file or a directory.")],
    as_json: AsJson = False,  # noqa: PT028  a command, not a test
) -> None:
    """Runs unit tests of rules, without a daemon."""
    from poolwright.runtime.rule_tests import run_rule_tests  # noqa: PLC0415

    try:
        results = run_rule_tests(path)
    except RuleFileError as error:
        print_refusal(error, as_json=as_json)
        raise typer.Exit(EXIT_NO) from None
    if as_json:
        print_json([{"name": r.name, "failures": r.failures} for r in results])
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


def schema(
    apis: Annotated[bool, typer.Option("--apis", help="Of the files in rules/apis/.")] = False,
) -> None:
    """Prints the JSON Schema of rule files, for editors."""
    from poolwright import rulefiles  # noqa: PLC0415
    from poolwright.actuation.described.shapes import Api  # noqa: PLC0415

    print_json(rulefiles.schema_of(Api) if apis else rulefiles.schema())

"""What commands print with: the two streams, JSON for machines, refused rule files."""

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from poolwright.errors import RuleFileError

out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def print_refusal(error: RuleFileError, *, as_json: bool) -> None:
    """Every problem: for people with its line, for machines as a list."""
    from poolwright.rulefiles.excerpts import excerpts  # noqa: PLC0415

    if as_json:
        print_json([asdict(problem) for problem in error.problems])
        return
    count = len(error.problems)
    for text in excerpts(error.problems):
        sys.stderr.write(f"{text}\n")
    sys.stderr.write(f"{count} problem{'s' if count != 1 else ''}; nothing of it is loaded\n")

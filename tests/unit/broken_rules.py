"""The first example, broken on purpose: its problems, and that a break is told in words."""

from pathlib import Path

import pytest

from poolwright.actuation.registry import targets
from poolwright.errors import Problem, RuleFileError
from poolwright.rulefiles import load

RULES = Path(__file__).parents[2] / "rules"
EXAMPLE = (RULES / "chat-70b.yaml").read_text()
Break = tuple[str, str, str, str, str]
"""What is replaced, what is written instead, where the caret points at, message and hint."""


def problems_of(file: Path, text: str | bytes) -> tuple[Problem, ...]:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(RuleFileError) as caught:
        load(file, providers=targets(), apis=RULES / "apis")
    return caught.value.problems


def assert_told(broken: Break, file: Path, *, at_its_place: bool = True) -> None:
    """That the break is the only problem of the example, told in these words."""
    old, new, at, message, hint = broken
    assert old in EXAMPLE
    text = EXAMPLE.replace(old, new, 1)
    (problem,) = problems_of(file, text)
    assert (problem.message, problem.hint) == (message, hint)
    if at_its_place:
        assert text.splitlines()[problem.line - 1][problem.column - 1 :].startswith(at)

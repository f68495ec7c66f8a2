"""Unit tests of rules that users write: parsed here, driven by the runtime."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from poolwright.errors import Problem, RuleFileError
from poolwright.model.decision import Outcome, Reason
from poolwright.rulefiles.document import read
from poolwright.rulefiles.loading import sources_of
from poolwright.rulefiles.shapes import Seconds, Shape
from poolwright.rulefiles.validating import validate


class PoolState(Shape):
    ready: int = Field(ge=0)
    starting: int = Field(default=0, ge=0)


class Expected(Shape):
    desired: int | None = Field(default=None, ge=0)
    outcome: Outcome | None = None
    reason: Reason | None = None


class Step(Shape):
    at: Seconds
    signals: dict[str, float | Literal["missing"]] = Field(default_factory=dict)
    needs: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """By `slo` or `forecast` trigger: the replicas that it has learned will be needed."""
    pools: dict[str, PoolState] = Field(default_factory=dict)
    expect: dict[str, Expected] = Field(default_factory=dict)


class RuleTestFile(Shape):
    rules: str
    service: str
    start: dict[str, PoolState]
    steps: list[Step] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class RuleTest:
    file: str
    rules: Path
    service: str
    start: Mapping[str, PoolState]
    steps: tuple[Step, ...]


def load(path: Path | str) -> tuple[RuleTest, ...]:
    """One test a file; raises RuleFileError with all problems of all files."""
    tests: list[RuleTest] = []
    problems: list[Problem] = []
    for file, text in sources_of(Path(path)).items():
        document = read(file, text)
        shape = validate(document, RuleTestFile)
        problems += document.problems
        if shape:
            rules = Path(file).parent / shape.rules
            tests.append(RuleTest(file, rules, shape.service, shape.start, tuple(shape.steps)))
    if problems:
        raise RuleFileError(tuple(problems))
    return tuple(tests)

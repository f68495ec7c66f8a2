"""What a run came to: figures for the table, and a timeline for the charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from poolwright.model.assessment import Assessment
from poolwright.model.rule import ClassRule
from poolwright.simulation.plant import Event

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
STEP_S = 10
"""Seconds between two points of a timeline."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A decision that scaled, in words. Times count from the trace's start."""

    at_s: float
    pool: str
    current: int
    desired: int
    text: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a decision knew of its pool's demand, in replicas."""

    at_s: float
    pool: str
    need: float
    horizon_s: float
    """How far ahead of `at_s` the forecast is."""
    expected: float | None
    upper: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Points `STEP_S` apart; replicas by pool."""

    at_s: Floats
    ready: Mapping[str, Counts]
    starting: Mapping[str, Counts]


@dataclass(frozen=True, slots=True, eq=False)
class Minutes:
    """Requests of each class by the minute of their arrival, and those that kept their SLO."""

    arrived: Mapping[str, Counts]
    kept: Mapping[str, Counts]

    def missed(self, classes: Sequence[ClassRule]) -> npt.NDArray[np.bool_]:
        """The minutes in which any class was below its goal."""
        length = max((len(counts) for counts in self.arrived.values()), default=0)
        found = np.zeros(length, bool)
        for rule in classes:
            if rule.name in self.arrived:
                goal = rule.attainment * self.arrived[rule.name]
                found |= self.kept[rule.name] < goal - 1e-9
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One contender on one trace; `setting` says what was chosen for it, for people."""

    contender: str
    setting: str
    value: float
    variant: str
    trace: int
    requests: int
    unserved: int
    """Requests that never ended."""
    attainment: Mapping[str, float]
    cost_usd: float
    replica_hours: float
    actions: int
    decisions: int
    latency: Mapping[str, float]
    """`ttft_p50_s`, `ttft_p99_s`, `itl_p50_s`, `itl_p99_s`, of all classes together."""
    hours: float
    slo_minutes: int
    minutes: Minutes
    timeline: Timeline
    marks: tuple[Mark, ...] = ()
    forecasts: tuple[Forecast, ...] = ()

    def keeps(self, classes: Sequence[ClassRule]) -> bool:
        """True where every class attained its goal."""
        return self.shortfall(classes) <= 0.0

    def shortfall(self, classes: Sequence[ClassRule]) -> float:
        """By how much the worst class is below its goal; negative where all are above."""
        gaps = [
            rule.attainment - self.attainment[rule.name]
            for rule in classes
            if rule.name in self.attainment
        ]
        return max(gaps, default=0.0)

    def missed_of_allowed(self, classes: Sequence[ClassRule]) -> float:
        """Requests that missed their SLO as a multiple of those that may; the worst class's."""
        shares = [
            (1.0 - self.attainment[rule.name]) / max(1.0 - rule.attainment, 1e-6)
            for rule in classes
            if rule.name in self.attainment
        ]
        return max(shares, default=0.0)


@dataclass(slots=True)
class Tally:
    """Counts requests by the minute of their arrival while a run goes on."""

    classes: tuple[ClassRule, ...]
    origin_s: float
    minutes: int
    _arrived: dict[str, Counts] = field(default_factory=dict)
    _kept: dict[str, Counts] = field(default_factory=dict)
    _rules: dict[str, ClassRule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for rule in self.classes:
            self._rules[rule.name] = rule
            self._arrived[rule.name] = np.zeros(self.minutes, np.int64)
            self._kept[rule.name] = np.zeros(self.minutes, np.int64)

    def add(self, events: Sequence[Event]) -> None:
        for event in events:
            kind = event["type"]
            if kind == "replica":
                continue
            rule = self._rules.get(str(event["class"]))
            if rule is None:
                continue
            at = float(event["at"])
            if kind == "arrival":
                self._arrived[rule.name][self._minute(at)] += 1
            elif _kept(rule, event):
                self._kept[rule.name][self._minute(at - float(event["e2e_s"]))] += 1

    def _minute(self, at: float) -> int:
        # An arrival that is told back from an end may be a rounding error before its minute.
        return min(max(int((at - self.origin_s + 1e-6) // 60), 0), self.minutes - 1)

    def result(self) -> Minutes:
        return Minutes(self._arrived, self._kept)


def _kept(rule: ClassRule, event: Event) -> bool:
    limits = ((rule.ttft_s, "ttft_s"), (rule.itl_s, "itl_s"), (rule.e2e_s, "e2e_s"))
    return all(limit is None or float(event[name]) <= limit for limit, name in limits)


def forecast_of(assessment: Assessment, pool: str, at_s: float) -> Forecast:
    return Forecast(
        at_s,
        pool,
        assessment.need,
        assessment.horizon_s,
        assessment.expected,
        assessment.upper,
    )

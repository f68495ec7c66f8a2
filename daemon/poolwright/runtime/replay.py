"""Replay: a trace played through the simulated plant and the very core, on a virtual clock.

Nothing here is real time and nothing is random but the plant's seed, so that two replays of one
trace give the same decisions, byte for byte.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import msgspec

from poolwright.model.decision import Decision
from poolwright.model.rule import RuleSet, ServiceRule
from poolwright.runtime.driving import Driver
from poolwright.runtime.plants import PREPARE_S, prepared
from poolwright.runtime.traces import arrivals_at
from poolwright.simulation.plant import Event, Plant
from poolwright.simulation.spec import PlantSpec
from poolwright.simulation.workloads import Workload

ORIGIN_S = 1_700_000_000.0
"""Event time of a trace's start: a fixed instant, so that replays agree."""
Second = Callable[[float, Sequence[Event]], None]
"""Gets the end of each second and what happened in it."""


@dataclass(frozen=True, slots=True)
class Span:
    """From the order of every pool's minimum to the end of the drain, in event time."""

    start: float
    end: float

    @classmethod
    def of(cls, workload: Workload, drain_s: float) -> Self:
        return cls(ORIGIN_S - PREPARE_S, ORIGIN_S + workload.duration_s + drain_s)

    @property
    def hours(self) -> float:
        return (self.end - self.start) / 3600


def play(
    plant: Plant, service: ServiceRule, workload: Workload, span: Span, second: Second
) -> None:
    """Plays the trace through the plant; whoever watches or sets counts does so in `second`.

    Requests without a class are of the service's first; raises TraceError for an unknown class.
    """
    # An iterator: a day of arrivals need not be in memory.
    arrivals = arrivals_at(workload, service, origin_s=ORIGIN_S)
    pending = next(arrivals, None)
    at = span.start
    while at < span.end:
        at += 1.0
        while pending is not None and pending.at <= at:
            plant.submit(pending)
            pending = next(arrivals, None)
        second(at, plant.advance(at))


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay did and what it cost."""

    decisions: tuple[Decision, ...]
    checks: int
    requests: int
    ended: int
    overdue: int
    """In flight at the end and too late to keep their SLO; attainment counts them as missed."""
    attainment: dict[str, float]
    cost_usd: dict[str, float]
    replica_seconds: dict[str, float]
    latency: dict[str, float]
    hours: float

    @property
    def actions(self) -> int:
        return sum(decision.acts for decision in self.decisions)


def decision_lines(decisions: Sequence[Decision]) -> bytes:
    """Decisions as JSON lines with sorted keys: the same bytes for the same decisions."""
    return b"".join(msgspec.json.encode(d, order="sorted") + b"\n" for d in decisions)


def replay(
    rules: RuleSet,
    service: ServiceRule,
    workload: Workload,
    spec: PlantSpec,
    *,
    seed: int = 1,
    drain_s: float = 900.0,
    progress: Callable[[float, float], None] = lambda _done_s, _total_s: None,
) -> ReplayResult:
    """The rules' controller on a plant whose faults count from the trace's start; see `play`.

    `progress(done_s, total_s)` is called once a simulated minute and at the end.
    """
    span = Span.of(workload, drain_s)
    plant = prepared(service, spec, seed=seed, starts_at=ORIGIN_S)
    driver = Driver(rules, service, plant)
    total_s = span.end - span.start

    def second(at: float, events: Sequence[Event]) -> None:
        driver.second(at, events)
        if int(at) % 60 == 0:
            progress(at - span.start, total_s)

    play(plant, service, workload, span, second)
    progress(total_s, total_s)
    outcome = plant.outcomes(service.classes)
    return ReplayResult(
        decisions=tuple(driver.decisions),
        checks=driver.checks,
        requests=outcome.submitted,
        ended=outcome.ended,
        overdue=outcome.overdue,
        attainment=dict(outcome.attainment),
        cost_usd=dict(outcome.cost_usd),
        replica_seconds=dict(outcome.replica_seconds),
        latency=dict(outcome.latency),
        hours=span.hours,
    )

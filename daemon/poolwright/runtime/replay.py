"""Replay: a trace played through the simulated plant and the very core, on a virtual clock.

Nothing here is real time and nothing is random but the plant's seed, so that two replays of one
trace give the same decisions, byte for byte.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from poolwright.controller import Controller
from poolwright.model.decision import Decision
from poolwright.model.rule import RuleSet, ServiceRule
from poolwright.runtime.orders import Orders
from poolwright.runtime.plants import PREPARE_S, prepared
from poolwright.runtime.traces import arrivals_at
from poolwright.simulation.plant import Arrival, Plant
from poolwright.simulation.spec import PlantSpec
from poolwright.simulation.workloads import Workload

ORIGIN_S = 1_700_000_000.0
"""Event time of a trace's start: a fixed instant, so that replays agree."""
REPORT_EVERY_S = 5.0


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
    """Plays `workload` through a plant whose faults count from the trace's start.

    Requests without a class are of the service's first; raises TraceError for an unknown class.
    `progress(done_s, total_s)` is called once a simulated minute and at the end.
    """
    # The other services do not play: what they share with this one cannot be known.
    controller = Controller(replace(rules, fleet=None))
    plant = prepared(service, spec, seed=seed, starts_at=ORIGIN_S)
    orders = Orders(plant)
    start = ORIGIN_S - PREPARE_S
    feed = _Feed(arrivals_at(workload, service, origin_s=ORIGIN_S))
    end = ORIGIN_S + workload.duration_s + drain_s
    decisions: list[Decision] = []
    at = start
    while at < end:
        at += 1.0
        feed.submit(plant, until=at)
        events = plant.advance(at)
        if events:
            controller.ingest([msgspec.json.encode(events)])
        for action in orders.advance(at):
            controller.acted(action)
        if at % REPORT_EVERY_S < 1.0:
            _report(controller, orders, service, at)
        for decision in controller.decide(at):
            decisions.append(decision)
            if decision.acts:
                for action in orders.submit(decision, at):
                    controller.acted(action)
        if int(at) % 60 == 0:
            progress(at - start, end - start)
    progress(end - start, end - start)
    outcome = plant.outcomes(service.classes)
    return ReplayResult(
        decisions=tuple(decisions),
        checks=controller.checks,
        requests=outcome.submitted,
        ended=outcome.ended,
        overdue=outcome.overdue,
        attainment=dict(outcome.attainment),
        cost_usd=dict(outcome.cost_usd),
        replica_seconds=dict(outcome.replica_seconds),
        latency=dict(outcome.latency),
        hours=(end - start) / 3600,
    )


class _Feed:
    """Arrivals that are made when their time has come: a day of them need not be in memory."""

    def __init__(self, arrivals: Iterator[Arrival]) -> None:
        self._arrivals = arrivals
        self._pending = next(arrivals, None)

    def submit(self, plant: Plant, *, until: float) -> None:
        while self._pending is not None and self._pending.at <= until:
            plant.submit(self._pending)
            self._pending = next(self._arrivals, None)


def _report(controller: Controller, orders: Orders, service: ServiceRule, at: float) -> None:
    for pool in service.pools:
        report = orders.read(pool.name, at)
        if report is not None:
            controller.report(
                report.pool,
                at=at,
                ready=report.ready,
                starting=report.starting,
                desired=report.desired,
                terminating=report.terminating,
            )

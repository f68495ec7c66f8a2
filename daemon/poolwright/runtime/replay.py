"""Replay: a trace played through the simulated plant and the very core, on a virtual clock.

Nothing here is real time and nothing is random but the plant's seed, so that two replays of one
trace give the same decisions, byte for byte.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from poolwright.controller import Controller
from poolwright.model.decision import Decision
from poolwright.model.rule import RuleSet, ServiceRule
from poolwright.simulation.plant import Plant
from poolwright.simulation.spec import PlantSpec
from poolwright.simulation.workloads import Workload

ORIGIN_S = 1_700_000_000.0
"""Event time of a trace's start: a fixed instant, so that replays agree."""
PREPARE_S = 600.0
"""The pools stand at their minimum for this long before the trace starts."""
REPORT_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay did and what it cost."""

    decisions: tuple[Decision, ...]
    checks: int
    requests: int
    ended: int
    attainment: dict[str, float]
    cost_usd: dict[str, float]
    latency: dict[str, float]
    hours: float

    @property
    def actions(self) -> int:
        return sum(decision.acts for decision in self.decisions)


def decision_lines(decisions: Sequence[Decision]) -> bytes:
    """Decisions as JSON lines with sorted keys: what `--json` prints and the golden tests hold."""
    return b"".join(msgspec.json.encode(d, order="sorted") + b"\n" for d in decisions)


def replay(
    rules: RuleSet,
    service: ServiceRule,
    workload: Workload,
    spec: PlantSpec,
    *,
    seed: int = 1,
    drain_s: float = 900.0,
    progress: Callable[[float, float], None] | None = None,
) -> ReplayResult:
    """Plays `workload` as requests of the service's first class. `progress(done_s, total_s)`."""
    controller = Controller(rules)
    plant = Plant(spec, seed=seed)
    start = ORIGIN_S - PREPARE_S
    for pool in service.pools:
        plant.set_replicas(pool.name, pool.min_replicas, at=start)
    request_class = service.classes[0].name if service.classes else "default"
    arrivals = workload.arrivals(request_class, origin_s=ORIGIN_S)
    pending = next(arrivals, None)
    end = ORIGIN_S + workload.duration_s + drain_s
    decisions: list[Decision] = []
    at = start
    while at < end:
        at += 1.0
        while pending is not None and pending.at <= at:
            plant.submit(pending)
            pending = next(arrivals, None)
        events = plant.advance(at)
        if events:
            controller.ingest(events)
        if at % REPORT_EVERY_S < 1.0:
            for report in (plant.report(pool.name) for pool in service.pools):
                controller.report(
                    report.pool,
                    at=at,
                    ready=report.ready,
                    starting=report.starting,
                    desired=report.desired,
                    terminating=report.terminating,
                )
        for decision in controller.decide(at):
            decisions.append(decision)
            if decision.acts:
                plant.set_replicas(decision.pool, decision.desired, at=at)
        if progress is not None and int(at) % 60 == 0:
            progress(at - start, end - start)
    outcome = plant.outcomes(service.classes)
    return ReplayResult(
        decisions=tuple(decisions),
        checks=controller.checks,
        requests=outcome.submitted,
        ended=outcome.ended,
        attainment=dict(outcome.attainment),
        cost_usd=plant.bill(at),
        latency=dict(outcome.latency),
        hours=(end - start) / 3600,
    )

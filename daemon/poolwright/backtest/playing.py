"""Plays one trace through the plant under one pilot."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from poolwright.backtest.figures import (
    STEP_S,
    Counts,
    Forecast,
    Mark,
    Run,
    Tally,
    Timeline,
    forecast_of,
)
from poolwright.backtest.pilots import Pilot
from poolwright.backtest.world import DRAIN_S, World
from poolwright.model.decision import Decision
from poolwright.record.sentences import OUTCOMES, REASONS
from poolwright.runtime import replay
from poolwright.runtime.plants import prepared
from poolwright.runtime.replay import ORIGIN_S, Span
from poolwright.simulation.plant import Event, Plant

Make = Callable[[World, Plant], Pilot]


def play(
    world: World,
    make: Make,
    *,
    contender: str,
    setting: str = "",
    value: float = 0.0,
    variant: str = "",
    trace: int = 0,
) -> Run:
    """As `runtime.replay` plays it, with a look at the plant on the way."""
    service, workload = world.service, world.trace.workload
    span = Span.of(workload, DRAIN_S)
    plant = prepared(service, world.spec, seed=world.seed, starts_at=ORIGIN_S)
    pilot = make(world, plant)
    pilot.prepare(span.start)
    tally = Tally(world.goals, ORIGIN_S, max(1, math.ceil((workload.duration_s + 1.0) / 60)))
    watch = _Watch(plant, tuple(pool.name for pool in service.pools))

    def second(at: float, events: Sequence[Event]) -> None:
        tally.add(events)
        pilot.second(at, events)
        if (at - ORIGIN_S) % STEP_S < 1.0:
            watch.look(at - ORIGIN_S)

    replay.play(plant, service, workload, span, second)
    outcome, minutes = plant.outcomes(world.goals), tally.result()
    return Run(
        contender=contender,
        setting=setting,
        value=value,
        variant=variant,
        trace=trace,
        requests=outcome.submitted,
        unserved=outcome.submitted - outcome.ended,
        attainment=dict(outcome.attainment),
        cost_usd=sum(outcome.cost_usd.values()),
        replica_hours=sum(outcome.replica_seconds.values()) / 3600,
        actions=pilot.actions,
        decisions=len(pilot.decisions),
        latency=dict(outcome.latency),
        hours=span.hours,
        slo_minutes=int(minutes.missed(world.goals).sum()),
        minutes=minutes,
        timeline=watch.timeline(),
        marks=tuple(_mark(decision) for decision in pilot.decisions if decision.acts),
        forecasts=_forecasts(pilot.decisions),
    )


class _Watch:
    def __init__(self, plant: Plant, pools: tuple[str, ...]) -> None:
        self._plant = plant
        self._at: list[float] = []
        self._ready: dict[str, list[int]] = {name: [] for name in pools}
        self._starting: dict[str, list[int]] = {name: [] for name in pools}

    def look(self, at_s: float) -> None:
        self._at.append(at_s)
        for name, ready in self._ready.items():
            report = self._plant.report(name)
            ready.append(report.ready)
            self._starting[name].append(max(report.starting, 0))

    def timeline(self) -> Timeline:
        def columns(found: dict[str, list[int]]) -> dict[str, Counts]:
            return {name: np.array(values, np.int64) for name, values in found.items()}

        return Timeline(np.array(self._at), columns(self._ready), columns(self._starting))


def _mark(decision: Decision) -> Mark:
    """The decision in words: what it did, why, and what asked for it."""
    asked = [
        f"{proposal.trigger}: {proposal.replicas}"
        for proposal in decision.proposals
        if proposal.replicas is not None
    ]
    clamped = [f"{limit.limit}: {limit.before} → {limit.after}" for limit in decision.limits]
    step = f"{OUTCOMES[decision.outcome]}, {decision.current} → {decision.desired}"
    lines = [
        f"{step}: {REASONS[decision.reason]}",
        "asked: " + ", ".join(asked) if asked else "",
        "limits: " + ", ".join(clamped) if clamped else "",
    ]
    text = "\n".join(line for line in lines if line)
    at_s = decision.at - ORIGIN_S
    return Mark(at_s, decision.pool, decision.current, decision.desired, text)


def _forecasts(decisions: list[Decision]) -> tuple[Forecast, ...]:
    """At most one of a pool and instant: that with the highest need of the band."""
    found: dict[tuple[str, float], Forecast] = {}
    for decision in decisions:
        for assessment in decision.inputs.assessments:
            one = forecast_of(assessment, decision.pool, decision.at - ORIGIN_S)
            other = found.get((one.pool, one.at_s))
            if other is None or (one.upper or 0.0) > (other.upper or 0.0):
                found[one.pool, one.at_s] = one
    return tuple(found.values())

"""What a pool's decision sees: its signals, and what was learned of its service."""

import math
from collections.abc import Iterator
from dataclasses import replace

from poolwright.capacity.mix import Plan
from poolwright.decision.memory import PoolMemory
from poolwright.decision.state import LEARNED, CoreState, other_cost, report_of, told
from poolwright.model.assessment import Assessment
from poolwright.model.decision import Idleness, ReplicaLoad
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule, ServiceRule
from poolwright.model.signal import Signal, SignalStatus, Unhealthy


def signals_of(
    state: CoreState,
    service: ServiceRule,
    pool: PoolRule,
    report: PoolReport | None,
    at: float,
) -> tuple[Signal, ...]:
    expected = 0 if report is None else report.ready
    signals: list[Signal] = []
    for rule in service.signals:
        if rule.builtin and rule.metric != "demand":
            value = _builtin(rule.metric, state, service, pool, report, at)
            signals.append(_known(rule.name, value))
        else:
            signal = state.store.evaluate(
                rule,
                service=service.service,
                pool=pool.name,
                at=at,
                expected_replicas=expected,
            )
            signals.append(_finite(signal))
    return tuple(signals)


def _finite(signal: Signal) -> Signal:
    """A statistic without a value (the slope of one sample) is missing, never a number."""
    if signal.value is None or math.isfinite(signal.value):
        return signal
    return replace(
        signal, status=SignalStatus.MISSING, value=None, why=Unhealthy.NO_SAMPLES, last_value=None
    )


def _known(name: str, value: float | None) -> Signal:
    if value is None:
        return Signal(name, SignalStatus.MISSING, None, None, 0, why=Unhealthy.NEVER_SEEN)
    return Signal(name, SignalStatus.FRESH, value, 0.0, 1)


def _builtin(  # noqa: PLR0911  one line a name
    metric: str,
    state: CoreState,
    service: ServiceRule,
    pool: PoolRule,
    report: PoolReport | None,
    at: float,
) -> float | None:
    match metric:
        case "hour":
            return at % 86400 / 3600
        case "weekday":
            return float((at // 86400 + 3) % 7)  # 1970-01-01 was a Thursday; Monday is 0
        case "cost":
            own = (pool.price_usd_per_hour or 0.0) * told(state, pool)
            return own + other_cost(state, service, pool)
        case _ if report is None:
            return None
        case "ready":
            return float(report.ready)
        case "starting":
            return float(report.starting)
        case _:
            return float(told(state, pool))


def plan_of(state: CoreState, service: ServiceRule, at: float) -> Plan:
    """What each pool is to carry; empty where nothing is learned or too little is known."""
    learner = state.learners.get(service.service)
    if learner is None:
        return {}
    reports = {}
    most = {}
    for pool in service.pools:
        report = report_of(state, pool, at)
        if report is not None:
            # What the provider says will not come is not counted on.
            reports[pool.name] = replace(report, starting=0) if report.short else report
        until = state.memories.get(pool.name, PoolMemory()).stock_until
        out_of_stock = until is not None and at < until and report is not None
        seen = reports.get(pool.name)
        there = 0 if seen is None else seen.ready + seen.starting
        short = out_of_stock or (seen is not None and bool(seen.short))
        most[pool.name] = min(pool.max_replicas, there) if short else pool.max_replicas
    return learner.plan(service, reports, most, at)


def assessments_of(
    state: CoreState, service: ServiceRule, pool: PoolRule, at: float
) -> tuple[Assessment, ...]:
    learner = state.learners.get(service.service)
    if learner is None:
        return ()
    found = [
        learner.assess(service, pool, trigger, at)
        for trigger in service.triggers_of(pool)
        if isinstance(trigger, LEARNED)
    ]
    return tuple(assessment for assessment in found if assessment is not None)


def idleness_of(
    state: CoreState, service: ServiceRule, pool: PoolRule, report: PoolReport | None, at: float
) -> Idleness | None:
    """What tells whether the pool has anything to do; None of one that never goes to zero."""
    if pool.zero_after_s is None:
        return None
    loads = list(loads_of(state, service.service, pool.name, at))
    quiet = (
        report is not None
        and 0 < report.ready <= len(loads)
        and not report.starting
        and all(load.running == load.waiting == 0.0 for load in loads)
    )
    return Idleness(quiet, state.store.asked_at(service.service))


def loads_of(state: CoreState, service: str, pool: str, at: float) -> Iterator[ReplicaLoad]:
    """What the pool's replicas have to do; one that has not said so lately is left out."""
    for replica, (told_at, *metrics) in state.store.newest_gauges(service, pool, at):
        running, waiting, usage = metrics[:3]
        if not math.isnan(running + waiting):
            told_usage = None if math.isnan(usage) else usage
            yield ReplicaLoad(replica, told_at, running, waiting, told_usage)

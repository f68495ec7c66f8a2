"""What /status tells of a running daemon, for `poolwright status` and for machines."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from poolwright.actuation.provider import CallError
from poolwright.decision import CoreState
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule, RuleSet, ServiceRule
from poolwright.record.absence import Absent, absence_of
from poolwright.telemetry.source import KafkaSource

_NOTHING_LEARNED: dict[str, Any] = {
    "learned": [],
    "share": None,
    "advantage_granted": None,
    "absence": None,
}


def pools_body(
    rules: RuleSet,
    state: CoreState,
    source: KafkaSource,
    absent: Absent,
    now: float,
    unread: Mapping[str, CallError],
) -> list[dict[str, Any]]:
    """One entry a pool; null where nothing is known, never zero.

    `unread` has, by pool, why its last read failed.
    """
    return [
        {
            **_pool(service, pool, state, absent, now, owned=source.owns(service.service)),
            "unread": _words(unread.get(pool.name)),
        }
        for service in rules.services
        for pool in service.pools
    ]


def source_body(source: KafkaSource) -> dict[str, Any]:
    """How telemetry comes in: ages in seconds, lag in messages by topic/partition."""
    return {
        "ingest_behind": source.behind(),
        "telemetry_age_s": source.telemetry_age_s(),
        "lag": {f"{p.topic}/{p.partition}": n for p, n in source.lag().items()},
    }


def _words(error: CallError | None) -> str | None:
    return None if error is None else f"{error} ({error.kind})"


def _pool(
    service: ServiceRule,
    pool: PoolRule,
    state: CoreState,
    absent: Absent,
    now: float,
    *,
    owned: bool,
) -> dict[str, Any]:
    report: PoolReport | None = state.reports.get(pool.name)
    memory = state.memories.get(pool.name)
    recorded = None if memory is None else memory.recorded
    return {
        "service": service.service,
        "pool": pool.name,
        "role": pool.role.value,
        "mode": service.mode.value,
        "ready": None if report is None else report.ready,
        "starting": None if report is None else report.starting,
        "desired": None if report is None else report.desired,
        "short": None if report is None else report.short,
        "reported_at": None if report is None else report.at,
        "min": pool.min_replicas,
        "max": pool.max_replicas,
        "outcome": None if recorded is None else recorded.outcome,
        "reason": None if recorded is None else recorded.reason,
        "decided_at": None if recorded is None else recorded.at,
        "decided_from": None if recorded is None else recorded.current,
        "decided_to": None if recorded is None else recorded.desired,
        "owned": owned,
        **(_learned(service, pool, state, absent, now) if owned else _NOTHING_LEARNED),
    }


def _learned(
    service: ServiceRule, pool: PoolRule, state: CoreState, absent: Absent, now: float
) -> dict[str, Any]:
    """As of the learner's last block; each needs and carries for its own trigger's SLO."""
    learner = state.learners.get(service.service)
    if learner is None:
        return _NOTHING_LEARNED
    plan = learner.block.plan.get(pool.name)
    found = [one for (name, _), one in learner.block.assessed.items() if name == pool.name]
    advantage = None if plan is None else plan.advantage
    startup_s = learner.pools[pool.name].startups.p95_s(pool.startup_s)
    absence = absence_of(advantage, absent[pool.name], now, startup_s, service)
    return {
        "learned": [
            {
                "trigger": one.trigger,
                "class": one.request_class,
                "basis": one.capacity.basis.value,
                "meets": one.capacity.meets,
                "drift": one.capacity.drift,
                "carried_requests_per_s": one.capacity.requests_per_s,
                "need_replicas": one.need,
                "upper_replicas": one.upper,
                "horizon_s": one.horizon_s,
            }
            for one in found
        ],
        "share": None if plan is None else dict(plan.share.classes),
        "advantage_granted": None if advantage is None else advantage.granted,
        "absence": None if absence is None else asdict(absence),
    }

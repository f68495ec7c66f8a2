"""Scale to zero and back: when a pool with `zero_after` has nothing to do, and when it is woken.

That nobody asks is known, never assumed: while the pool has replicas, each of them has to say that
it has nothing to do. A pool at zero has none that could say anything; it is woken by a request.
"""

from collections.abc import Iterable
from dataclasses import replace

from poolwright.decision.memory import PoolMemory
from poolwright.model.decision import PoolInputs, Proposal
from poolwright.model.rule import PoolRole, PoolRule, ServiceRule

OWN_REASONS = frozenset({"threshold", "schedule"})
"""Kinds of triggers that may ask for replicas although nobody asks for answers."""
LEAST_FORECAST = 0.15
"""Replicas; a forecast of less is a remainder of what was, not of what will be."""


def fold_quiet(memory: PoolMemory, inputs: PoolInputs) -> PoolMemory:
    """Notes since when the pool has had nothing to do."""
    idle = inputs.idleness
    if idle is None or not idle.quiet:
        since = None
    else:
        since = inputs.at if memory.quiet_since is None else memory.quiet_since
    return memory if since == memory.quiet_since else replace(memory, quiet_since=since)


def asked_lately(pool: PoolRule, inputs: PoolInputs) -> bool:
    """Whether a request came within `zero_after`; one that is older waits for nobody any more."""
    idle = inputs.idleness
    if pool.zero_after_s is None or idle is None or idle.asked_at is None:
        return False
    return inputs.at - idle.asked_at < pool.zero_after_s


def rests(pool: PoolRule, inputs: PoolInputs, memory: PoolMemory, current: int) -> bool:
    """Whether zero replicas are enough: of a pool at zero, until somebody asks."""
    if pool.zero_after_s is None or asked_lately(pool, inputs):
        return False
    since = memory.quiet_since
    return current == 0 or (since is not None and inputs.at - since >= pool.zero_after_s)


def wakes(service: ServiceRule, pool: PoolRule, inputs: PoolInputs) -> bool:
    """Whether the pool, at zero, is one to answer a request that came."""
    if not asked_lately(pool, inputs):
        return False
    first = next((p for p in service.pools if p.role is PoolRole.DEFAULT), None)
    share = inputs.share
    return share is None or any(share.classes.values()) or first == pool


def wishes_at_rest(proposals: Iterable[Proposal]) -> list[int]:
    """What is asked for although nobody asks: by the clock, a condition, or what will come."""
    return [
        p.replicas
        for p in proposals
        if p.replicas is not None
        and (
            p.kind in OWN_REASONS
            or (p.kind == "forecast" and p.evidence.get("upper", 0.0) >= LEAST_FORECAST)
        )
    ]

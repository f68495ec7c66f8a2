"""The merge before the limits: which wish wins, and what it is called in the decision."""

from collections.abc import Sequence
from dataclasses import dataclass

from poolwright.decision.idling import rests, wakes, wishes_at_rest
from poolwright.decision.memory import PoolMemory
from poolwright.decision.outside import Changed
from poolwright.model.decision import Outcome, PoolInputs, Proposal, Reason
from poolwright.model.rule import OutsideChange, PoolRule, ServiceRule


@dataclass(frozen=True, slots=True)
class Case:
    """What bears on a pool's merge beside the wishes of its triggers."""

    current: int
    basis: int
    """The count that triggers judge from: what is to be restored, else what is there."""
    resting: bool
    """Nobody asks: zero replicas are enough."""
    waking: bool
    """It is at zero, and a request came."""
    stays_up: bool
    """It goes to zero for want of requests alone."""
    restoring: bool
    alarmed: int | None
    """The count that somebody else has changed, where the pool is left alone then."""


def case_of(
    service: ServiceRule,
    pool: PoolRule,
    inputs: PoolInputs,
    memory: PoolMemory,
    current: int,
    changed: Changed | None,
) -> Case:
    restoring = changed is not None and changed.then is OutsideChange.RESTORE
    alarmed = changed is not None and changed.then is OutsideChange.ALARM
    return Case(
        current=current,
        basis=changed.left_at if changed is not None and restoring else current,
        resting=rests(pool, inputs, memory, current),
        waking=current == 0 and wakes(service, pool, inputs),
        stays_up=pool.zero_after_s is not None and current > 0,
        restoring=restoring,
        alarmed=changed.left_at if changed is not None and alarmed else None,
    )


def merge(case: Case, proposals: Sequence[Proposal]) -> int:
    """The highest wish, before bounds and limits."""
    if case.resting:
        return max(wishes_at_rest(proposals), default=0)
    wishes = [p.replicas for p in proposals if p.replicas is not None]
    merged = max(wishes, default=case.basis)
    if all(p.kind == "forecast" for p in proposals if p.replicas is not None):
        # A floor alone is no reason to shrink.
        merged = max(merged, case.basis)
    return max(merged, 1) if case.waking or case.stays_up else merged


def change_reason(case: Case, merged: int) -> Reason:
    """Why the count changes, where nobody asks it back."""
    if case.resting and merged == 0:
        return Reason.IDLE
    if case.waking:
        return Reason.WOKEN
    if case.restoring and merged == case.basis:
        return Reason.RESTORED
    return Reason.BOUNDS if merged == case.current else Reason.PROPOSED


def holding(case: Case, wanted: int) -> tuple[Outcome, Reason] | None:
    """What a count that stays is called where it is neither for the triggers nor for a limit."""
    if case.alarmed is not None:
        return Outcome.BLOCKED, Reason.CHANGED_OUTSIDE
    if case.resting and case.current == wanted == 0:
        return Outcome.HOLD, Reason.IDLE
    return None

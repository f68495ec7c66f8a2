"""Changes of the count by somebody else: adopted, restored or alarmed, as the pool's rule says."""

from dataclasses import dataclass, replace

from poolwright.decision.memory import SETTLE_S, PoolMemory
from poolwright.model.pool import PoolReport
from poolwright.model.rule import Mode, OutsideChange, PoolRule, ServiceRule


@dataclass(frozen=True, slots=True)
class Changed:
    """Somebody else has set the count of a pool."""

    left_at: int
    """What it was before."""
    then: OutsideChange
    """What follows."""


def fold_ours(
    service: ServiceRule, pool: PoolRule, memory: PoolMemory, report: PoolReport
) -> tuple[PoolMemory, Changed | None]:
    """The memory with what is ours now, and what somebody else did.

    While an order is under way, and a moment after it, the report says nothing about others. A
    pool that is not acted on is anybody's.
    """
    command = memory.command
    if command is not None and (command.in_flight or report.at < command.at + SETTLE_S):
        return memory, None
    left = memory.ours
    if left == report.desired:
        return memory, None
    then = pool.outside_change if service.mode is Mode.ACT else OutsideChange.ADOPT
    changed = None if left is None else Changed(left, then)
    if changed is not None and then is not OutsideChange.ADOPT:
        return memory, changed
    return replace(memory, ours=report.desired), changed

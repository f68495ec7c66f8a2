"""Proposals and limits → decisions. `step` is the whole core. Pure."""

from poolwright.decision.core import (
    CoreState,
    dump_state,
    load_state,
    new_state,
    next_wake,
    step,
    use_rules,
)
from poolwright.decision.decide import decide_again, decide_pool
from poolwright.decision.memory import PoolMemory

__all__ = [
    "CoreState",
    "PoolMemory",
    "decide_again",
    "decide_pool",
    "dump_state",
    "load_state",
    "new_state",
    "next_wake",
    "step",
    "use_rules",
]

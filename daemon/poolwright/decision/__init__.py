"""Proposals and limits → decisions. `step` is the whole core. Pure."""

from poolwright.decision.core import next_wake, step
from poolwright.decision.decide import decide_again, decide_pool
from poolwright.decision.memory import PoolMemory
from poolwright.decision.state import CoreState, dump_state, load_state, new_state, use_rules

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

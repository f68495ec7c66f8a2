"""Which replicas go first when a pool shrinks: those that have the least to do."""

import math
from collections.abc import Iterable

from poolwright.decision.memory import PoolMemory
from poolwright.model.decision import ReplicaLoad


def least_loaded(
    loads: Iterable[ReplicaLoad], memory: PoolMemory, count: int
) -> tuple[ReplicaLoad, ...]:
    """The `count` replicas with the fewest requests; of equals that with the emptier KV cache.

    A replica whose load is not known is not among `loads` and so never among the first. One that
    was told to go is not named twice: while it ends its requests it is the least loaded of all,
    and the provider no longer counts it.
    """
    gone = {replica for left in memory.leaving for replica in left.replicas}
    return tuple(sorted((load for load in loads if load.replica not in gone), key=_work)[:count])


def _work(load: ReplicaLoad) -> tuple[float, float, str]:
    usage = math.inf if load.kv_cache_usage is None else load.kv_cache_usage
    return load.running + load.waiting, usage, load.replica

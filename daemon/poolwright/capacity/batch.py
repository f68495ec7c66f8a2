"""How many requests a replica of a pool runs at once at most, learned from its gauges.

Someone who waits is no proof that the batch is full: in engines that schedule at each iteration
every request waits for a moment, and a long prompt lets those behind it wait for seconds. A full
batch shows as a queue that stays while as many run as ever did.
"""

from typing import Final

STAYS_SAMPLES: Final = 4
STAYS_S: Final = 30.0
"""A queue stays that was there in so many samples of a replica on end, over so long."""
NEARLY: Final = 0.8
"""Share of the most that ever ran, below which the batch is not full. Not all of it: the longer
requests of the moment, which take more of the memory, may hold it down."""
SHRINKS: Final = 0.02
"""By which the most comes down to what runs while a queue stays: limits change, too."""
GAP_S: Final = 60.0
"""A replica that was silent for longer begins anew."""


_Queue = tuple[float, float, int, float, int]
"""Since when, last told when, in how many samples; and of those on end with a full batch, too."""


class BatchLimit:
    """What a pool's replicas were seen to run, and whether that was their limit."""

    __slots__ = ("_full", "_most", "_queues")

    def __init__(self) -> None:
        self._most = 0.0
        self._full = False
        self._queues: dict[int, _Queue] = {}
        """Of replicas where someone waits."""

    @property
    def requests(self) -> float | None:
        """None while no queue has stayed behind as many as ever ran."""
        return self._most if self._full else None

    def replicas(self) -> set[int]:
        """The numbers of those where someone waits."""
        return set(self._queues)

    def observe(self, replica: int, at: float, running: float, waiting: float) -> None:
        """Takes a sample; NaN is not known. Those of a replica come in the order of time."""
        grows = running > self._most
        if grows:
            # More than the limit that was believed in is proof against it.
            self._most, self._full = running, False
        if not (waiting >= 1.0 and running >= 1.0):
            self._queues.pop(replica, None)
            return
        since, last, samples, full_since, full = self._queues.get(replica, (at, at, 0, at, 0))
        if at - last > GAP_S:
            since, samples, full_since, full = at, 0, at, 0
        if running < NEARLY * self._most:
            full_since, full = at, 0
        elif grows:
            full_since, full = at, 1
        else:
            full_since, full = (full_since if full else at), full + 1
        self._queues[replica] = since, at, samples + 1, full_since, full
        if _stays(since, at, samples + 1):
            self._most += SHRINKS * (running - self._most)
        self._full |= _stays(full_since, at, full)

    def forget(self, at: float) -> None:
        """Lets go of replicas that have been silent."""
        self._queues = {r: q for r, q in self._queues.items() if at - q[1] <= GAP_S}


def _stays(since: float, at: float, samples: int) -> bool:
    return samples >= STAYS_SAMPLES and at - since >= STAYS_S

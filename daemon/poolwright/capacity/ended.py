"""How long the requests of one class took in one pool, of those that ended lately: their p95.

An even sample of each minute is kept, so that memory is bounded whatever the rate: the first
requests of a minute take the places, each later one takes a random place with the chance that keeps
all alike (reservoir sampling, Vitter 1985). The "random" number is a hash of the request's own
number, so that a replay keeps the same ones.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from poolwright.model.sample import Floats, Index

MINUTES: Final = 10
"""How far back requests count, the present minute included."""
PLACES: Final = 32
"""Requests of a minute that are kept."""
LEAST_REQUESTS: Final = 100
"""Fewer have no p95 worth comparing: five of a hundred lie beyond it."""
STALE_S: Final = 120.0
"""A pool in which nothing has ended for so long says nothing of now."""
PERCENT: Final = 95.0
TIMES: Final = ("ttft", "itl", "e2e")


@dataclass(frozen=True, slots=True)
class Measured:
    """One time of a class in a pool."""

    requests: int
    """That ended in the last minutes and told this time: estimated where not all of them are kept
    and some told none."""
    p95_s: float | None
    """None where they are too few or too old."""


class EndedTimes:
    """The times of requests that ended well in the last minutes."""

    __slots__ = ("ended", "minutes", "newest_at", "seconds", "times")

    def __init__(self, times: tuple[str, ...] = TIMES) -> None:
        self.times = times
        """Those that are kept."""
        self.minutes = np.full(MINUTES, -1, dtype=np.int64)
        """The minute since the epoch that each slot is of."""
        self.ended = np.zeros(MINUTES, dtype=np.int64)
        """Requests of that minute."""
        self.seconds = np.full((MINUTES, PLACES, len(times)), np.nan, dtype=np.float32)
        """Of the requests that are kept, in the order of `times`; NaN: not told."""
        self.newest_at = -math.inf

    def note(self, at: Floats, ttft_s: Floats, itl_s: Floats, e2e_s: Floats) -> None:
        """Takes requests by when they ended. NaN is a time that is not known."""
        told = dict(zip(TIMES, (ttft_s, itl_s, e2e_s), strict=True))
        rows: Floats = np.column_stack([told[time] for time in self.times])
        minutes: Index = (at // 60.0).astype(np.int64)
        for minute in sorted(set(minutes.tolist())):
            slot = minute % MINUTES
            if minute > self.minutes[slot]:
                self.minutes[slot], self.ended[slot] = minute, 0
                self.seconds[slot] = np.nan
            if minute == self.minutes[slot]:
                self._sample(slot, rows[minutes == minute])
        self.newest_at = max(self.newest_at, float(at.max(initial=-math.inf)))

    def _sample(self, slot: int, rows: Floats) -> None:
        number: Index = int(self.ended[slot]) + 1 + np.arange(len(rows), dtype=np.int64)
        place = np.where(number <= PLACES, number - 1, _hash(number) % number)
        kept = place < PLACES
        # Where two take one place, the later one has it.
        self.seconds[slot, place[kept]] = rows[kept]
        self.ended[slot] += len(rows)

    def measured(self, at: float) -> dict[str, Measured]:
        """Each of `TIMES` over the last `MINUTES`; nothing of those that are not kept."""
        now = math.floor(at / 60.0)
        slots = np.flatnonzero((self.minutes > now - MINUTES) & (self.minutes <= now))
        stands_for = self.ended[slots] / np.clip(self.ended[slots], 1, PLACES)
        weights = np.repeat(stands_for, PLACES)
        fresh = at - self.newest_at <= STALE_S
        found = dict.fromkeys(TIMES, Measured(0, None))
        for column, name in enumerate(self.times):
            seconds = self.seconds[slots, :, column].ravel().astype(np.float64)
            told = ~np.isnan(seconds)
            requests = round(float(weights[told].sum()))
            enough = fresh and requests >= LEAST_REQUESTS
            p95_s = _quantile(seconds[told], weights[told]) if enough else None
            found[name] = Measured(requests, p95_s)
        return found


def _quantile(values: Floats, weights: Floats) -> float:
    """The smallest value that at least `PERCENT` of the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    up_to = weights[order].cumsum()
    rank = int(up_to.searchsorted(up_to[-1] * PERCENT / 100.0 * (1.0 - 1e-12)))
    return float(values[order[rank]])


def _hash(numbers: Index) -> Index:
    """Numbers that look random, never negative: the finaliser of SplitMix64."""
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: Index = (mixed >> np.uint64(33)).astype(np.int64)
    return found

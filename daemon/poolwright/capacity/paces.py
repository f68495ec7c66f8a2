"""Finds the replica that is slower than the others, such as one whose GPU is throttled.

Of each replica only sums are kept. Over a time W in which requests that decoded for D seconds in
all ended, D/W of them ran on average (Little, 1961). A slow replica may well have the larger batch
or the longer prompts: so what an iteration took is held against what the pool's speed makes of its
own batch and its own prefills, and the ratio of the two against that of the other replicas.
"""

import math
from bisect import bisect_left
from typing import Final

import numpy as np

from poolwright.capacity.speed import SpeedEstimator, vector
from poolwright.model.sample import Bools, Floats, Ids, Index

LEAST_S: Final = 30.0
LEAST_ENDED: Final = 20.0
LEAST_STAYS: Final = 2.0
"""A ratio is taken over at least so long, so many requests and so many times as long as they take.

What runs on from before and beyond it is then a small part.
"""
RATIOS: Final = 5
"""Of each replica the last few ratios are kept; their median is its pace."""
LEAST_RATIOS: Final = 3
SLOW: Final = 1.3
"""Times as long as the others take. It is said until it is less than `NO_LONGER`."""
NO_LONGER: Final = 1.2
CERTAIN: Final = 3.0
"""Standard errors of the model that `SLOW` must be."""
GONE_S: Final = 300.0
FEW: Final = 8
"""So many requests are taken sooner one by one."""
SINCE, HEARD, ENDED, MADE, DECODE_S, INPUTS, CLOSED = range(7)
SUMS: Final = slice(ENDED, CLOSED)
"""Requests, tokens after the first, seconds for them, and prompt tokens."""


class Paces:
    """Of the replicas of one pool. Times in epoch seconds."""

    __slots__ = ("_table", "slow")

    def __init__(self) -> None:
        self._table: Floats = np.empty((0, 8 + RATIOS))
        """A row a replica, by its number: one array, as its head alone takes 128 bytes."""
        self.slow: dict[int, float] = {}
        """Times as long as the others take, of the replicas that are slow."""

    @property
    def _numbers(self) -> Floats:
        """Rising."""
        return self._table[:, 0]

    @property
    def _sums(self) -> Floats:
        """Since when, when it was last heard of, the sums since, and ratios taken so far."""
        return self._table[:, 1:8]

    @property
    def _ratios(self) -> Floats:
        """The newest last; NaN where none is known."""
        return self._table[:, 8:]

    @property
    def odd(self) -> dict[int, float]:
        """Those of the slow ones that the pool's speed should not be learned from."""
        return self.slow if len(self._table) - len(self.slow) > 1 else {}

    def observe(
        self, at: Floats, replica: Ids, inputs: Floats, outputs: Floats, decode_s: Floats
    ) -> None:
        """Takes ended requests: ends, replicas, tokens, seconds after the first token."""
        if len(at) <= FEW and self._observe_few(at, replica, inputs, outputs, decode_s):
            return
        known = np.isfinite(inputs + outputs + decode_s)
        if not known.any():
            return
        at, replica = at[known], replica[known]
        where = self._places(replica)
        if where is None:
            self._admit(replica, float(at.min()))
            where = np.searchsorted(self._numbers, replica)
        made = np.maximum(outputs[known] - 1.0, 0.0)
        rows = np.column_stack((np.ones(len(at)), made, decode_s[known], inputs[known]))
        np.add.at(self._sums[:, SUMS], where, rows)
        np.maximum.at(self._sums[:, HEARD], where, at)

    def _observe_few(
        self, at: Floats, replica: Ids, inputs: Floats, outputs: Floats, decode_s: Floats
    ) -> bool:
        """The same one by one, where no replica is new; else nothing is done."""
        numbers = self._numbers.tolist()
        columns = (column.tolist() for column in (replica, at, inputs, outputs, decode_s))
        rows = [row for row in zip(*columns, strict=True) if math.isfinite(sum(row[2:]))]
        if not {number for number, *_ in rows}.issubset(numbers):
            return False
        sums = self._sums
        for number, ended_at, taken, made, decoded_s in rows:
            mine = sums[bisect_left(numbers, number)]
            mine[SUMS] += (1.0, max(made - 1.0, 0.0), decoded_s, taken)
            mine[HEARD] = max(mine[HEARD], ended_at)
        return True

    def _places(self, replica: Ids) -> Index | None:
        """Where each stands; None where one is new."""
        where = np.searchsorted(self._numbers, replica)
        if len(self._table) and where.max() < len(self._table):
            return where if (self._numbers[where] == replica).all() else None
        return None

    def _admit(self, replica: Ids, at: float) -> None:
        new = np.setdiff1d(replica, self._numbers)
        rows = np.zeros((len(new), 8 + RATIOS))
        rows[:, 0], rows[:, 1:3], rows[:, 8:] = new, at, np.nan
        everyone = np.concatenate((self._table, rows))
        self._table = everyone[np.argsort(everyone[:, 0], kind="stable")]

    def compare(self, at: float, speed: SpeedEstimator) -> None:
        """Finds out anew who is slow; beside a refit."""
        self._keep(at - self._sums[:, HEARD] <= GONE_S)
        self._close(at, speed)
        known = np.isfinite(self._ratios).sum(axis=1) >= LEAST_RATIOS
        before, self.slow = self.slow, {}
        if known.sum() < 2:
            return
        numbers = self._numbers[known].astype(np.int32).tolist()
        paces = np.nanmedian(self._ratios[known], axis=1)
        newest = self._ratios[known, -1]
        newest = np.where(np.isnan(newest), paces, newest)
        for place in np.flatnonzero(paces > NO_LONGER * paces.min()).tolist():
            number, factor = numbers[place], _to_others(paces, place)
            # When all become slow, one is the first to tell: the others' newest tell of it, too.
            begins = factor > SLOW and _to_others(newest, place) > NO_LONGER
            if begins or (number in before and factor > NO_LONGER):
                self.slow[number] = factor

    def _keep(self, which: Bools) -> None:
        if not which.all():
            self._table = self._table[which]

    def _close(self, at: float, speed: SpeedEstimator) -> None:
        """Takes a ratio of each replica that has shown enough, and begins its sums again."""
        sums = self._sums
        lasted_s = at - sums[:, SINCE]
        stay_s = sums[:, DECODE_S] / np.maximum(sums[:, ENDED], 1.0)
        due = (sums[:, ENDED] >= LEAST_ENDED) & (sums[:, MADE] > 0.0)
        due &= lasted_s >= np.maximum(LEAST_S, LEAST_STAYS * stay_s)
        if not due.any():
            return
        if speed.learned:
            # What ran on when a replica was first heard of is not known: its first is left out.
            told = due & (sums[:, CLOSED] > 0.0)
            rows = _per_second(sums[told, SUMS], lasted_s[told])
            ratios = 1.0 / (rows @ vector(speed.speed))
            ratios[CERTAIN * speed.doubt(rows) > np.log(SLOW)] = np.nan
            self._ratios[told] = np.column_stack((self._ratios[told, 1:], ratios))
        sums[due, SUMS] = 0.0
        sums[due, SINCE] = at
        sums[due, CLOSED] += 1.0


def _to_others(ratios: Floats, place: int) -> float:
    return float(ratios[place] / np.median(np.delete(ratios, place)))


def _per_second(sums: Floats, lasted_s: Floats) -> Floats:
    """Iterations, tokens, prefills and prompt tokens, a second of a replica's decoding."""
    ended, made, decode_s, inputs = sums.T
    iterations = made / decode_s
    # Beside the request itself: others come and go independently of it.
    batch = 1.0 + decode_s / lasted_s
    return np.column_stack((iterations, iterations * batch, ended / lasted_s, inputs / lasted_s))

"""The arrays of 32 seconds: what became of the samples of one metric, of series that tell many."""

from __future__ import annotations

import msgspec
import numpy as np

from poolwright.model.sample import Floats
from poolwright.signals.cells import Cells
from poolwright.signals.rows import Rows
from poolwright.signals.sketch import Ints, positions

PANE_S = 1.0
PANES = 32
"""Panes of a block."""
BUCKET_BITS = 12
"""2^12 is more than sketch.BUCKETS."""

COUNT, SUM, MIN, MAX, NEWEST, LAST = range(6)
"""The statistics of a pane: those of no sample are 0, 0, inf, -inf, -inf, -inf."""
_EMPTY = np.array([0.0, 0.0, np.inf, -np.inf, -np.inf, -np.inf])


class SavedBlock(msgspec.Struct, array_like=True):
    """A block for a checkpoint; `codes` are those of its rows, in the order of the rows."""

    metric: int
    number: float
    codes: bytes
    stats: bytes
    keys: bytes
    counts: bytes


class Block:
    """The panes that end PANES * number + 1 … PANES * number + PANES, of series with many samples.

    A series has a row from its first sample here on: what nobody tells takes no memory.
    `stats` is (six statistics, row, pane); a cell's key is the place there and, in its last bits,
    the bucket: the buckets of a series over some panes are neighbours.
    """

    __slots__ = ("_stats", "cells", "number", "rows")

    def __init__(self, number: float) -> None:
        self.number = number
        self.rows = Rows()
        self._stats: Floats = np.empty((6, 0, PANES))
        self.cells = Cells()

    def add(self, at: Floats, row: Ints, pane: Ints, values: Floats, *, bucket: bool) -> None:
        """Samples with the times `at`; no value is NaN. Without `bucket` none has a quantile."""
        if len(self.rows) > self._stats.shape[1]:
            self._grow()
        where = row * PANES + pane
        self._fold(where, values, at)
        if bucket:
            self.cells.add((where << BUCKET_BITS) | positions(values))

    def _grow(self) -> None:
        """A pane of nothing for each row that came."""
        have = self._stats.shape[1]
        # Nearly all series of a block come with its first second: slack would be for nothing.
        stats = np.empty((6, len(self.rows), PANES))
        stats[:, :have] = self._stats
        stats[:, have:] = _EMPTY[:, None, None]
        self._stats = stats

    def _fold(self, where: Ints, number: Floats, time: Floats) -> None:
        count, total, low, high, newest, last = self._stats.reshape(6, -1)
        np.add.at(count, where, 1.0)
        # Absurd numbers may add up to infinity, which is no value for a trigger.
        with np.errstate(over="ignore"):
            np.add.at(total, where, number)
        np.minimum.at(low, where, number)
        np.maximum.at(high, where, number)
        # The newest by event time; of several of that time the largest, whoever came first.
        before = newest[where]
        np.maximum.at(newest, where, time)
        leads = np.flatnonzero(time == newest[where])
        last[where[leads[time[leads] > before[leads]]]] = -np.inf
        np.maximum.at(last, where[leads], number[leads])

    def read(self, row: int, first: int, end: int) -> tuple[Floats, int, int]:
        """Statistics of the panes first … end - 1 of a row, and the keys of their cells."""
        start = row * PANES
        stats = self._stats[:, row, first:end]
        return stats, (start + first) << BUCKET_BITS, (start + end) << BUCKET_BITS

    def save(self, metric: int) -> SavedBlock:
        keys, counts = self.cells.to_bytes()
        codes = self.rows.codes().tobytes()
        return SavedBlock(metric, self.number, codes, self._stats.tobytes(), keys, counts)

    @classmethod
    def restore(cls, saved: SavedBlock) -> Block:
        block = cls(saved.number)
        block.rows = Rows.restore(np.frombuffer(saved.codes, np.int64))
        block._stats = np.frombuffer(saved.stats).reshape(6, -1, PANES).copy()
        block.cells = Cells.from_bytes(saved.keys, saved.counts)
        return block

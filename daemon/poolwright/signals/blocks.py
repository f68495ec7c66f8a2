"""The arrays of 32 seconds: what became of the samples of all series of one kind."""

from __future__ import annotations

import msgspec
import numpy as np

from poolwright.model.sample import Floats
from poolwright.signals.cells import Cells
from poolwright.signals.sketch import Ints, positions

PANES = 32
"""Panes of a block."""
BUCKET_BITS = 12
"""2^12 is more than sketch.BUCKETS."""

COUNT, SUM, MIN, MAX, NEWEST, LAST = range(6)
"""The statistics of a pane: those of no sample are 0, 0, inf, -inf, -inf, -inf."""
_EMPTY = np.array([0.0, 0.0, np.inf, -np.inf, -np.inf, -np.inf])

Owner = tuple[int, int]
"""Service and pool numbers."""
Key = tuple[int, int, int]
"""Service, pool and request class (or replica) numbers."""


class SavedBlock(msgspec.Struct, array_like=True):
    """A block for a checkpoint."""

    number: float
    series: list[Key]
    stats: bytes
    keys: bytes
    counts: bytes


class Block:
    """The panes that end PANES * number + 1 … PANES * number + PANES, of all series.

    `stats` is (six statistics, series, metric, pane); a cell's key is the place there and, in its
    last bits, the bucket: the buckets of a metric of a series over some panes are neighbours.
    """

    __slots__ = ("_metrics", "_rows", "_stats", "cells", "number", "owned")

    def __init__(self, number: float, metrics: int) -> None:
        self.number = number
        self._metrics = metrics
        self._rows: dict[Key, int] = {}
        self.owned: dict[Owner, list[Key]] = {}
        self._stats: Floats = np.empty((6, 0, metrics, PANES))
        self.cells = Cells()

    def rows(self, keys: list[Key]) -> Ints:
        """The row of each series in `stats`, a new one where there is none."""
        for key in keys:
            if key not in self._rows:
                self._rows[key] = len(self._rows)
                self.owned.setdefault(key[:2], []).append(key)
        have, need = self._stats.shape[1], len(self._rows)
        if need > have:
            grown = np.empty((6, max(need, 2 * have), self._metrics, PANES))
            grown[:] = _EMPTY[:, None, None, None]
            grown[:, :have] = self._stats
            self._stats = grown
        return np.array([self._rows[key] for key in keys], np.int64)

    def add(self, at: Floats, row: Ints, pane: Ints, values: Floats) -> None:
        """Samples with the times `at`; values (metric, sample), the first of them never NaN."""
        keys: list[Ints] = []
        series = row * (self._metrics * PANES) + pane
        for metric in range(self._metrics):
            told = np.flatnonzero(~np.isnan(values[metric]))
            if not len(told):
                continue
            where, number, time = series[told] + metric * PANES, values[metric, told], at[told]
            self._fold(where, number, time)
            # The first metric is the sample itself, always 1: it needs no buckets.
            if metric:
                keys.append((where << BUCKET_BITS) | positions(number))
        if keys:
            self.cells.add(np.concatenate(keys))

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

    def read(self, key: Key, metric: int, first: int, end: int) -> tuple[Floats, int, int]:
        """Statistics of the panes first … end - 1 of a series, and the keys of their cells."""
        row = self._rows[key]
        start = (row * self._metrics + metric) * PANES
        stats = self._stats[:, row, metric, first:end]
        return stats, (start + first) << BUCKET_BITS, (start + end) << BUCKET_BITS

    def save(self) -> SavedBlock:
        keys, counts = self.cells.to_bytes()
        stats = self._stats[:, : len(self._rows)].tobytes()
        return SavedBlock(self.number, list(self._rows), stats, keys, counts)

    @classmethod
    def restore(cls, saved: SavedBlock, metrics: int) -> Block:
        block = cls(saved.number, metrics)
        block.rows(saved.series)
        block._stats[:, : len(saved.series)] = np.frombuffer(saved.stats).reshape(
            6, -1, metrics, PANES
        )
        block.cells = Cells.from_bytes(saved.keys, saved.counts)
        return block

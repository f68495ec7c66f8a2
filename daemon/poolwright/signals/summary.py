"""One metric over the panes of a window, and its statistics."""

from typing import NamedTuple

import numpy as np

from poolwright.model.sample import Floats
from poolwright.signals.blocks import BUCKET_BITS, COUNT, LAST, MAX, MIN, NEWEST, PANE_S, SUM
from poolwright.signals.cells import Cells
from poolwright.signals.sketch import BUCKETS, Sketch
from poolwright.signals.statistics import slope

_BUCKET = (1 << BUCKET_BITS) - 1


class Part(NamedTuple):
    """Panes of one series that follow one another."""

    end: float
    """When the first of them ends."""
    stats: Floats
    """(six statistics, pane)"""
    cells: Cells
    first_key: int
    end_key: int
    """Between which its buckets are."""


class Summary:
    """Panes of a metric: when each ends, six statistics of each, and where its buckets are."""

    __slots__ = ("_parts", "_stats")

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts
        stats = [part.stats for part in parts]
        self._stats = np.concatenate(stats, axis=1) if stats else np.empty((6, 0))

    @property
    def count(self) -> int:
        return int(self._stats[COUNT].sum())

    @property
    def total(self) -> float:
        with np.errstate(over="ignore"):
            return float(self._stats[SUM].sum())

    @property
    def newest(self) -> float:
        """Event time of the newest sample; -inf of none."""
        return float(self._stats[NEWEST].max(initial=-np.inf))

    def statistic(self, stat: str, window_s: float) -> float:  # noqa: PLR0911  one line each
        """Like `statistics.statistic`; quantiles are the sketch's, a slope that of the panes."""
        stats = self._stats
        match stat:
            case "count":
                return float(self.count)
            case "sum":
                return self.total
            case "rate":
                return self.total / window_s
            case _ if not self.count:
                return float("nan")
            case "avg":
                return self.total / self.count
            case "min":
                return float(stats[MIN].min())
            case "max":
                return float(stats[MAX].max())
            case "last":
                return float(stats[LAST][stats[NEWEST] == self.newest].max())
            case "slope":
                used = stats[COUNT] > 0
                return slope(self._ends()[used], stats[SUM][used], stats[COUNT][used])
            case _:
                return self._quantile(float(stat[1:]))

    def _ends(self) -> Floats:
        return np.concatenate(
            [part.end + PANE_S * np.arange(part.stats.shape[1]) for part in self._parts]
        )

    def _quantile(self, percent: float) -> float:
        low, high = float(self._stats[MIN].min()), float(self._stats[MAX].max())
        if low == high:
            return low
        found = [part.cells.between(part.first_key, part.end_key) for part in self._parts]
        buckets = np.concatenate([keys for keys, _ in found]) & _BUCKET
        counts = np.concatenate([counts for _, counts in found])
        merged = np.bincount(buckets, counts, BUCKETS).astype(np.float64, copy=False)
        return Sketch(merged, self.total, low, high).quantile(percent)

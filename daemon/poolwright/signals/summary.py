"""One metric over the panes of a window, and its statistics."""

import numpy as np

from poolwright.model.sample import Floats
from poolwright.signals.blocks import BUCKET_BITS, COUNT, LAST, MAX, MIN, NEWEST, SUM
from poolwright.signals.cells import Cells
from poolwright.signals.sketch import BUCKETS, Sketch
from poolwright.signals.statistics import slope

_BUCKET = (1 << BUCKET_BITS) - 1


class Summary:
    """Panes of a metric: when each ends, six statistics of each, and where its buckets are."""

    __slots__ = ("_cells", "_ends", "_stats")

    def __init__(
        self, ends: list[Floats], stats: list[Floats], cells: list[tuple[Cells, int, int]]
    ) -> None:
        self._ends = np.concatenate(ends) if ends else np.empty(0)
        self._stats = np.concatenate(stats, axis=1) if stats else np.empty((6, 0))
        self._cells = cells

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
                return slope(self._ends[used], stats[SUM][used], stats[COUNT][used])
            case _:
                return self._quantile(float(stat[1:]))

    def _quantile(self, percent: float) -> float:
        low, high = float(self._stats[MIN].min()), float(self._stats[MAX].max())
        if low == high:
            return low
        merged: Floats = np.zeros(BUCKETS)
        for cells, first, end in self._cells:
            keys, counts = cells.between(first, end)
            np.add.at(merged, keys & _BUCKET, counts)
        return Sketch(merged, self.total, low, high).quantile(percent)

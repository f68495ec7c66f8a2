"""One metric over the panes of a window, and its statistics."""

from collections.abc import Sequence

import numpy as np

from poolwright.model.sample import Floats
from poolwright.signals.blocks import PANE_S
from poolwright.signals.parts import Part
from poolwright.signals.sketch import BUCKETS, Sketch
from poolwright.signals.statistics import slope


class Summary:
    """Parts of a window, in order of time and series: the statistics of all together."""

    __slots__ = ("_parts", "count")

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self.count = sum(part.count() for part in parts)
        """Samples."""

    @property
    def total(self) -> float:
        # Part by part: what tells nothing adds exactly nothing.
        with np.errstate(over="ignore"):
            return sum(float(part.sums().sum()) for part in self._parts)

    @property
    def newest(self) -> float:
        """Event time of the newest sample; -inf of none."""
        return max((part.newest() for part in self._parts), default=-np.inf)

    def statistic(self, stat: str, window_s: float) -> float:  # noqa: PLR0911  one line each
        """Like `statistics.statistic`; quantiles are the sketch's, a slope that of the panes."""
        match stat:
            case "count":
                return float(self.count)
            case "sum":
                return float(self.total)
            case "rate":
                return self.total / window_s
            case _ if not self.count:
                return float("nan")
            case "avg":
                return self.total / self.count
            case "min":
                return self._bounds()[0]
            case "max":
                return self._bounds()[1]
            case "last":
                newest = self.newest
                return max(part.last(newest) for part in self._parts)
            case "slope":
                return self._slope()
            case _:
                return self._quantile(float(stat[1:]))

    def _bounds(self) -> tuple[float, float]:
        found = [part.bounds() for part in self._parts]
        return min(low for low, _ in found), max(high for _, high in found)

    def _slope(self) -> float:
        counts = [part.counts() for part in self._parts]
        ends = [
            part.end + PANE_S * np.arange(len(of_part))
            for part, of_part in zip(self._parts, counts, strict=True)
        ]
        together: Floats = np.concatenate(counts)
        used = together > 0
        sums = np.concatenate([part.sums() for part in self._parts])
        return slope(np.concatenate(ends)[used], sums[used], together[used])

    def _quantile(self, percent: float) -> float:
        low, high = self._bounds()
        if low == high:
            return low
        found = [part.buckets() for part in self._parts]
        buckets = np.concatenate([places for places, _ in found])
        counts = np.concatenate([counts for _, counts in found])
        merged = np.bincount(buckets, counts, BUCKETS).astype(np.float64, copy=False)
        return Sketch(merged, self.total, low, high).quantile(percent)

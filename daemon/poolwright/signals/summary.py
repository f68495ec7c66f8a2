"""One metric over the panes of a window, and its statistics."""

from collections.abc import Sequence

import numpy as np

from poolwright.model.sample import Floats
from poolwright.signals.blocks import PANE_S
from poolwright.signals.parts import FewSamples, ManySamples, Part
from poolwright.signals.sketch import BUCKETS, positions, quantile
from poolwright.signals.statistics import slope


class Summary:
    """Parts of a window, in order of time and series: the statistics of all together."""

    __slots__ = ("_many", "_parts", "count")

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._many = [part for part in parts if isinstance(part, ManySamples)]
        self.count = sum(part.samples() for part in parts)
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

    def _values(self) -> Floats:
        """Those of series with few samples."""
        few = [part.values for part in self._parts if isinstance(part, FewSamples)]
        return np.concatenate(few) if few else np.empty(0)

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
                return self._bounds(self._values())[0]
            case "max":
                return self._bounds(self._values())[1]
            case "last":
                newest = self.newest
                return max(part.last(newest) for part in self._parts)
            case "slope":
                return self._slope()
            case _:
                return self._quantile(float(stat[1:]))

    def _bounds(self, values: Floats) -> tuple[float, float]:
        low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
        for part in self._many:
            lowest, highest = part.bounds()
            low, high = min(low, lowest), max(high, highest)
        return float(low), float(high)

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
        values = self._values()
        low, high = self._bounds(values)
        if low == high:
            return low
        merged = np.bincount(positions(values), minlength=BUCKETS)
        for part in self._many:
            buckets, counts = part.buckets()
            merged = merged + np.bincount(buckets, counts, BUCKETS)
        return quantile(merged, percent, low, high)

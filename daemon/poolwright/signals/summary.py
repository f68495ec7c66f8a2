"""One metric over the panes of a window, and its statistics."""

from collections.abc import Sequence

import numpy as np

from poolwright.model.sample import Floats
from poolwright.signals.blocks import COUNT, MAX, MIN, NEWEST, PANE_S
from poolwright.signals.parts import FewSamples, ManySamples, Part
from poolwright.signals.sketch import BUCKETS, positions, quantile, quantile_of
from poolwright.signals.statistics import slope

_NOTHING: Floats = np.empty((6, 0))


class Summary:
    """Parts of a window, in order of time and series: the statistics of all together."""

    __slots__ = ("_few", "_many", "_parts", "_stats", "count")

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._few = [part for part in parts if isinstance(part, FewSamples)]
        self._many = [part for part in parts if isinstance(part, ManySamples)]
        stats = [part.stats for part in self._many]
        self._stats = np.concatenate(stats, axis=1) if stats else _NOTHING
        """(six statistics, pane) of series in panes."""
        self.count = int(self._stats[COUNT].sum()) if stats else 0
        """Samples."""
        for part in self._few:
            self.count += len(part.values)

    @property
    def total(self) -> float:
        # Part by part: what tells nothing adds exactly nothing.
        with np.errstate(over="ignore"):
            return sum(float(part.sums().sum()) for part in self._parts)

    @property
    def newest(self) -> float:
        """Event time of the newest sample; -inf of none."""
        newest = float(self._stats[NEWEST].max(initial=-np.inf)) if self._many else -np.inf
        for part in reversed(self._few):
            # Mostly the last one has it, and the others end before.
            if part.end + PANE_S * (part.panes - 1) > newest:
                newest = max(newest, float(part.at.max()))
        return newest

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
        low = min(self._stats[MIN].min(initial=np.inf), values.min(initial=np.inf))
        high = max(self._stats[MAX].max(initial=-np.inf), values.max(initial=-np.inf))
        return float(low), float(high)

    def _values(self) -> Floats:
        """Those of series with few samples."""
        return np.concatenate([part.values for part in self._few]) if self._few else np.empty(0)

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
        if not self._many:
            return quantile_of(values, percent)
        low, high = self._bounds(values)
        if low == high:
            return low
        found = [part.buckets() for part in self._many]
        if len(values):
            found.append((positions(values), np.ones(len(values), np.uint32)))
        buckets = np.concatenate([buckets for buckets, _ in found])
        counts = np.concatenate([counts for _, counts in found])
        return quantile(np.bincount(buckets, counts, BUCKETS), percent, low, high)

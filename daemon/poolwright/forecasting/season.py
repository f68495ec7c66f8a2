"""The day and the week of a service: what its demand was at this time of day before.

Means of ten minutes are kept for a fortnight. What they tell is a ratio: by how much the demand
used to change from this time to the time that is forecast, on other days, on the same weekday
twice as much as on any other. Before a day has passed it has no opinion, and it must earn its say
in the ensemble like every other model.
"""

from typing import Final

import numpy as np

from poolwright.model.sample import Floats

BIN_S: Final = 600
BINS_A_DAY: Final = 86400 // BIN_S
DAYS: Final = 14
BINS: Final = DAYS * BINS_A_DAY
MOST_RATIO: Final = 4.0
SAME_WEEKDAY: Final = 2.0


class Season:
    """Demand (any unit) in ten-minute bins; the bin of a time is `time // BIN_S`."""

    __slots__ = ("means", "newest", "oldest")

    def __init__(self) -> None:
        self.means = np.full(BINS, np.nan, dtype=np.float32)
        """A ring by bin; NaN where telemetry did not cover it."""
        self.newest: int | None = None
        self.oldest: int | None = None
        """The first bin ever set."""

    def put(self, number: int, mean: float) -> None:
        """Sets a bin; bins between the newest and this one are unknown."""
        if self.newest is None:
            self.newest = self.oldest = number
        if number > self.newest:
            gone = min(number - self.newest, BINS)
            self.means[np.arange(number - gone + 1, number + 1) % BINS] = np.nan
            self.newest = number
        if number > self.newest - BINS:
            self.means[number % BINS] = mean

    def fill(self, first: int, means: Floats) -> int:
        """Sets those bins from `first` on that are unknown here and known there.

        NaN is unknown. A bin that was put stays as it is. Returns how many bins were set.
        """
        known = np.flatnonzero(~np.isnan(means))
        if not len(known):
            return 0
        newest = first + int(known[-1])
        if self.newest is None or newest > self.newest:
            self.put(newest, np.nan)
        bins = first + known
        bins = bins[bins > (self.newest or 0) - BINS]
        bins = bins[np.isnan(self.means[bins % BINS])]
        self.means[bins % BINS] = means[bins - first]
        if len(bins):
            self.oldest = min(self.oldest or 0, int(bins[0]))
        return len(bins)

    def ratios(self, at: Floats, ahead_s: float) -> Floats:
        """Usual demand `ahead_s` after each time over that at the time; NaN where not known."""
        if self.newest is None or self.oldest is None or self.newest - self.oldest < BINS_A_DAY:
            return np.full(len(at), np.nan)
        found: Floats = self._usual(at + ahead_s) / self._usual(at)
        return np.clip(found, 1.0 / MOST_RATIO, MOST_RATIO)

    def _usual(self, at: Floats) -> Floats:
        """Weighted mean over earlier days of the demand at these times, between bin middles."""
        position = at / BIN_S - 0.5
        left = np.floor(position).astype(np.int64)
        share = position - left
        total, weight = np.zeros(len(at)), np.zeros(len(at))
        newest = self.newest or 0
        for day in range(1, DAYS):
            before = left - day * BINS_A_DAY
            kept = (before > newest - BINS) & (before + 1 <= newest)
            first, second = self.means[before % BINS], self.means[(before + 1) % BINS]
            value = first * (1.0 - share) + second * share
            kept &= ~np.isnan(value)
            importance = SAME_WEEKDAY if day % 7 == 0 else 1.0
            total += np.where(kept, value, 0.0) * importance
            weight += kept * importance
        usual = np.full(len(at), np.nan)
        np.divide(total, weight, out=usual, where=(weight > 0) & (total > 0))
        return usual

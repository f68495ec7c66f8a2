"""What a service was asked for, span by span: the one form that every source gives."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from poolwright.forecasting.season import BIN_S
from poolwright.model.sample import Bools, Floats


@dataclass(frozen=True, slots=True)
class DemandRecord:
    """Columns of equal length; row n is of the `step_s` seconds from `start + n * step_s` on.

    NaN where nothing is known: an outage is not a quiet time.
    """

    start: float
    step_s: float
    requests_per_s: Floats
    input_tokens: Floats
    """Mean of a request's prompt."""
    output_tokens: Floats
    """Mean of its answer."""

    @property
    def known(self) -> Bools:
        """Rows whose requests are known."""
        found: Bools = ~np.isnan(self.requests_per_s)
        return found

    def last(self, seconds: float) -> Self:
        """The rows of that time before the end."""
        left_out = max(0, len(self.requests_per_s) - max(1, round(seconds / self.step_s)))
        return replace(
            self,
            start=self.start + left_out * self.step_s,
            requests_per_s=self.requests_per_s[left_out:],
            input_tokens=self.input_tokens[left_out:],
            output_tokens=self.output_tokens[left_out:],
        )


def season_bins(record: DemandRecord, *, until: float) -> tuple[int, Floats]:
    """The first bin of a season and the means from it on; the last one ends before `until`.

    A bin is unknown unless more than half of it is known, as of the bins that are measured live.
    """
    rows = record.requests_per_s
    middles = record.start + (np.arange(len(rows)) + 0.5) * record.step_s
    first, end = int(record.start // BIN_S), int(until // BIN_S)
    means = np.full(max(0, end - first), np.nan)
    use = record.known & (middles < end * BIN_S)
    bins = (middles[use] // BIN_S).astype(np.int64) - first
    sums = np.bincount(bins, rows[use], minlength=len(means))
    counts = np.bincount(bins, minlength=len(means))
    enough = counts * record.step_s * 2 > BIN_S
    means[enough] = sums[enough] / counts[enough]
    return first, means

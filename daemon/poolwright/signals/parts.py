"""A metric of one series over panes that follow one another, kept in either way."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from poolwright.model.sample import Floats
from poolwright.signals.blocks import BUCKET_BITS, COUNT, LAST, NEWEST, SUM
from poolwright.signals.cells import Cells, Counts
from poolwright.signals.sketch import Ints

Keys = NDArray[np.int32]
"""Row and pane of samples: row * PANES + pane."""

_BUCKET = (1 << BUCKET_BITS) - 1


class ManySamples(NamedTuple):
    """Statistics of each pane."""

    end: float
    """When the first pane ends."""
    stats: Floats
    """(six statistics, pane)"""
    cells: Cells
    first_key: int
    end_key: int
    """Between which its buckets are."""

    def counts(self) -> Floats:
        found: Floats = self.stats[COUNT]
        return found

    def sums(self) -> Floats:
        found: Floats = self.stats[SUM]
        return found

    def last(self, at: float) -> float:
        """The largest of those that came at this time, -inf of none."""
        return float(self.stats[LAST][self.stats[NEWEST] == at].max(initial=-np.inf))

    def buckets(self) -> tuple[Ints, Counts]:
        """Some of the sketch's, and how many samples are in each."""
        keys, counts = self.cells.between(self.first_key, self.end_key)
        return keys & _BUCKET, counts


class FewSamples(NamedTuple):
    """The samples themselves, at least one, in order of arrival within a pane."""

    end: float
    """When the first pane ends."""
    panes: int
    keys: Keys
    first_key: int
    """The pane of each, and the first one."""
    at: Floats
    values: Floats

    def counts(self) -> Floats:
        found: Floats = np.bincount(self.keys - self.first_key, minlength=self.panes).astype(float)
        return found

    def sums(self) -> Floats:
        found: Floats = np.bincount(self.keys - self.first_key, self.values, self.panes).astype(
            float
        )
        return found

    def last(self, at: float) -> float:
        return float(self.values[self.at == at].max(initial=-np.inf))


Part = ManySamples | FewSamples

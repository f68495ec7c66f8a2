"""A metric of one series over panes that follow one another, kept in either way."""

from dataclasses import dataclass

import numpy as np

from poolwright.model.sample import Floats
from poolwright.signals.blocks import BUCKET_BITS, COUNT, LAST, MAX, MIN, NEWEST, SUM
from poolwright.signals.cells import Cells, Counts
from poolwright.signals.sketch import Ints, positions

_BUCKET = (1 << BUCKET_BITS) - 1


@dataclass(frozen=True, slots=True, eq=False)
class ManySamples:
    """Statistics of each pane."""

    end: float
    """When the first pane ends."""
    stats: Floats
    """(six statistics, pane)"""
    cells: Cells
    first_key: int
    end_key: int
    """Between which its buckets are."""

    def count(self) -> int:
        return int(self.stats[COUNT].sum())

    def newest(self) -> float:
        return float(self.stats[NEWEST].max())

    def counts(self) -> Floats:
        found: Floats = self.stats[COUNT]
        return found

    def sums(self) -> Floats:
        found: Floats = self.stats[SUM]
        return found

    def bounds(self) -> tuple[float, float]:
        """Smallest and largest; inf and -inf of none."""
        return float(self.stats[MIN].min()), float(self.stats[MAX].max())

    def last(self, at: float) -> float:
        """The largest of those that came at this time, -inf of none."""
        return float(self.stats[LAST][self.stats[NEWEST] == at].max(initial=-np.inf))

    def buckets(self) -> tuple[Ints, Counts]:
        """Some of the sketch's, and how many samples are in each."""
        keys, counts = self.cells.between(self.first_key, self.end_key)
        return keys & _BUCKET, counts


@dataclass(frozen=True, slots=True, eq=False)
class FewSamples:
    """The samples themselves, at least one, in order of arrival within a pane."""

    end: float
    """When the first pane ends."""
    panes: int
    pane: Ints
    """Of each sample, from 0 on."""
    at: Floats
    values: Floats

    def count(self) -> int:
        return len(self.values)

    def newest(self) -> float:
        return float(self.at.max())

    def counts(self) -> Floats:
        found: Floats = np.bincount(self.pane, minlength=self.panes).astype(float)
        return found

    def sums(self) -> Floats:
        found: Floats = np.bincount(self.pane, self.values, self.panes).astype(float)
        return found

    def bounds(self) -> tuple[float, float]:
        return float(self.values.min()), float(self.values.max())

    def last(self, at: float) -> float:
        return float(self.values[self.at == at].max(initial=-np.inf))

    def buckets(self) -> tuple[Ints, Counts]:
        return positions(self.values), np.ones(len(self.values), np.uint32)


Part = ManySamples | FewSamples

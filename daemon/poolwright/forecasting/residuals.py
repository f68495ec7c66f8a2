"""Weighted quantiles and quantile losses of what was seen, of which only the largest are sorted."""

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from poolwright.model.sample import Floats, Index

SORTED: Final = 0.25
"""Share of the residuals that is sorted at first; it holds the quantiles of nearly all SLOs."""


@dataclass(frozen=True, slots=True)
class Residuals:
    """By what the truth exceeded what a model expected, and the weight of each, above 0.

    Only the largest are sorted: wanted are high quantiles.
    """

    values: Floats
    weights: Floats
    weight: float
    """Of all."""
    top: Index
    """Places of the largest, those first."""
    above: Floats
    """The weight of the 0, 1, … largest."""

    @classmethod
    def of(cls, values: Floats, weights: Floats, sorted_share: float = SORTED) -> Self:
        most = math.ceil(sorted_share * len(values))
        top = np.argpartition(values, -most)[-most:]
        top = top[np.argsort(values[top])[::-1]]
        above = np.zeros(most + 1)
        np.cumsum(weights[top], out=above[1:])
        return cls(values, weights, float(weights.sum()), top, above)

    def quantile(self, quantile: float) -> float:
        """Upper weighted quantile with the finite-sample correction of conformal prediction.

        A further observation counts as infinitely large (Vovk et al. 2005); where that would make
        the answer infinite, it is the largest value seen.
        """
        left = self.weight - quantile * (self.weight + self.weight / len(self.values))
        if self.above[-1] <= left and len(self.top) < len(self.values):
            return Residuals.of(self.values, self.weights, 1.0).quantile(quantile)
        place = int(self.above.searchsorted(left, "right")) - 1
        return float(self.values[self.top[min(max(place, 0), len(self.top) - 1)]])

    def loss(self, quantile: float, margin: float) -> float:
        """Mean pinball loss of a forecast that adds this margin."""
        over = self.values - margin
        lost = np.maximum(quantile * over, (quantile - 1.0) * over)
        lost *= self.weights
        return float(lost.sum() / self.weight)

"""What a small fleet needs at most, however uncertain a forecast is.

A margin made of forecasts that failed holds more than how far demand strays: the errors of the way
up to the present load, and the noise of the level that is added to. In a fleet of three that is a
replica for nothing. What the hour's requests felt is no forecast and has no such errors: of as many
requests as may be short, no more is to be expected, unless demand is rising.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from poolwright.forecasting.residuals import Residuals
from poolwright.model.sample import Floats

LEAST_SPANS: Final = 3
"""Fewer times the horizon are no record of what demand does within one."""
LEAST_SPAN_BLOCKS: Final = 6
USUAL: Final = 0.75
"""Quantile of the means of the past; one beyond it is a rise."""
CARRIED_ON: Final = 2.0
"""A rise goes on while replicas start: so many times of it are needed above what was felt."""
MOST: Final = 0.3
"""Of a replica, taken off a forecast at most."""
SMALL, LARGE = 3.0, 5.0
"""Replicas up to which all of that may be taken off, and from which nothing."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """From the needs that the hour's requests felt, by their weights, and how far demand rose."""

    felt: Residuals
    rise: float

    @classmethod
    def of(cls, values: Floats, truths: Floats, weights: Floats, horizon: int) -> Self | None:
        """As for `backtest`; None while the history is too short."""
        span = max(horizon, LEAST_SPAN_BLOCKS)
        counted = np.flatnonzero(weights)
        if len(values) < LEAST_SPANS * span or not len(counted):
            return None
        sums = np.concatenate(([0.0], np.cumsum(values)))
        means = (sums[span:] - sums[:-span]) / span
        rise = float(means[-1] - np.quantile(means[:-span], USUAL))
        felt = Residuals.of(truths.take(counted), weights.take(counted))
        return cls(felt, max(rise, 0.0))

    def lowered(self, forecast: float, quantile: float, surprise: float) -> float:
        """The forecast, or less of it where it is small and above what is to be expected."""
        expected = self.felt.quantile(quantile) * (1.0 + surprise) + CARRIED_ON * self.rise
        most = MOST * min(max((LARGE - forecast) / (LARGE - SMALL), 0.0), 1.0)
        return max(forecast - most, min(forecast, expected))

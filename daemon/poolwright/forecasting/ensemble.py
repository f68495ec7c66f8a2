"""Quantile forecast of a need, by models that must earn their weight on this very series.

The series are blocks of equal length; the truth is known for parts of them. Each model says, at
every block of the past, what it would have expected `horizon` blocks later; what the parts of that
block exceeded it by are its residuals, and the wanted quantile of them is its safety margin. A
model is worth what its quantile forecast would have cost in quantile (pinball) loss: one that knows
nothing of this service gets no say.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from poolwright.forecasting.ceiling import Ceiling
from poolwright.forecasting.residuals import Residuals
from poolwright.model.sample import Floats

LEAST_RESIDUALS: Final = 18
"""Fewer are no sample of a tail: no forecast."""
HALF_LIFE_BLOCKS: Final = 150.0
EXCEEDANCE: Final = 1.5
RARITY: Final = 1.5
"""How far beyond n peaks the next may go, as a share of the margin: EXCEEDANCE/(1 + n)^RARITY. Of
exchangeable peaks it is the largest with probability 1/(n + 1), and by less the more were seen."""
NEGLIGIBLE: Final = 1e-3
SHARPNESS: Final = 12.0
"""How fast a model's weight falls with its loss, relative to the best."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """A quantile of the need `horizon` blocks ahead, and how it came about.

    `models` maps a model to (its own forecast, its quantile loss, its weight).
    """

    value: float
    expected: float
    """The median-like middle: the weighted point forecasts."""
    residuals: int
    models: Mapping[str, tuple[float, float, float]]
    lowered_by: float = 0.0
    """What of the models' forecast was left out, as it is beyond what requests felt."""

    @property
    def skill(self) -> float:
        """Share of the naive model's loss that the best saves; not above 0 where naive is best."""
        naive = self.models["naive"][1]
        best = min(loss for _, loss, _ in self.models.values())
        # Where hardly anything is lost, there is nothing to be better at.
        if naive <= NEGLIGIBLE * max(self.expected, NEGLIGIBLE):
            return 0.0
        return 1.0 - best / naive


def forecast(
    values: Floats,
    truths: Floats,
    weights: Floats,
    horizon: int,
    quantile: float,
    ratios: Floats | None = None,
) -> Forecast | None:
    """Forecast at the end of `values`; None while there is too little history.

    See `backtest`, which serves any number of quantiles.
    """
    tested = backtest(values, truths, weights, horizon, ratios)
    return None if tested is None else tested.forecast(quantile)


@dataclass(frozen=True, slots=True)
class Backtest:
    """What each model would have said of the past, for forecasts at any quantile."""

    residuals: Mapping[str, Residuals]
    points: Mapping[str, float]
    """What each model expects now."""
    surprise: float
    """Share of a margin by which the next peak may exceed it."""
    least_loss: float
    """Below which losses do not differ."""
    count: int
    """Blocks."""
    ceiling: Ceiling | None

    def forecast(self, quantile: float) -> Forecast:
        """Of what is `horizon` blocks ahead."""
        results: dict[str, tuple[float, float]] = {}
        for name, residuals in self.residuals.items():
            margin = residuals.quantile(quantile)
            margin += self.surprise * max(margin, 0.0)
            results[name] = (self.points[name] + margin, residuals.loss(quantile, margin))
        best = min(loss for _, loss in results.values())
        share = {
            name: float(np.exp(-SHARPNESS * (loss - best) / max(best, self.least_loss)))
            for name, (_, loss) in results.items()
        }
        total = sum(share.values())
        told = max(0.0, sum(share[n] * value for n, (value, _) in results.items()) / total)
        value = told
        if self.ceiling is not None:
            value = self.ceiling.lowered(told, quantile, self.surprise)
        return Forecast(
            value=value,
            expected=sum(share[n] * self.points[n] for n in results) / total,
            residuals=self.count,
            models={n: (value, loss, share[n] / total) for n, (value, loss) in results.items()},
            lowered_by=told - value,
        )


def backtest(
    values: Floats, truths: Floats, weights: Floats, horizon: int, ratios: Floats | None = None
) -> Backtest | None:
    """The models tested on the past; None while there is too little of it.

    `values` is the level of each block; `truths` (blocks, parts) what its parts came to, and
    `weights` (likewise) how much each part counts (its requests). `ratios` is by how much the
    demand usually changes from each block to the one `horizon` later; NaN where nobody knows.
    """
    count = len(values) - horizon
    if count < LEAST_RESIDUALS:
        return None
    ceiling = Ceiling.of(values, truths, weights, horizon)
    age = np.arange(count)[::-1]
    truths, weight = (
        truths[horizon:],
        weights[horizon:] * (0.5 ** (age / HALF_LIFE_BLOCKS))[:, None],
    )
    if weight.sum() <= 0:
        weight = np.ones(weight.shape)
    used = np.flatnonzero(weight)
    truth, w = truths.take(used), weight.take(used)
    residuals: dict[str, Residuals] = {}
    points: dict[str, float] = {}
    for name, expected in models(values, horizon, ratios).items():
        known = ~np.isnan(expected[:count])
        told = int(np.count_nonzero(known))
        if told < LEAST_RESIDUALS or np.isnan(expected[-1]):
            continue
        over = (truths - expected[:count, None]).take(used)
        if told < count:
            some = known[used // truths.shape[1]]
            if not np.count_nonzero(some):
                continue
            residuals[name] = Residuals.of(over[some], w[some])
        else:
            residuals[name] = Residuals.of(over, w)
        points[name] = float(expected[-1])
    floor = 1e-3 * max(float((truth * w).sum() / w.sum()), 1e-6)
    surprise = EXCEEDANCE / (1.0 + episodes(values)) ** RARITY
    return Backtest(residuals, points, surprise, floor, count, ceiling)


def episodes(values: Floats) -> int:
    """How often the series rose above its mean: that many independent peaks were seen."""
    above = values > values.mean()
    return int((above[1:] & ~above[:-1]).sum())


def models(values: Floats, horizon: int, ratios: Floats | None = None) -> dict[str, Floats]:
    """The built-in point forecasts, one value a block."""
    fast, slow = smoothed(values, 3.0), smoothed(values, 18.0)
    long = smoothed(values, 90.0)
    trend = smoothed(np.diff(slow, prepend=slow[:1]), 12.0)
    found = {
        "naive": values,
        "level": fast,
        "slow_level": slow,
        "trend": np.maximum(slow + trend * (horizon + 6.0), 0.0),
        "mean": long,
    }
    if ratios is not None:
        found["season"] = fast * ratios
    return found


def smoothed(values: Floats, blocks: float) -> Floats:
    """Exponential smoothing with that time constant, started by the plain mean."""
    keep = math.exp(-1.0 / blocks)
    first = min(len(values), math.ceil(1.0 / (1.0 - keep)))
    out = np.empty(len(values))
    out[:first] = np.cumsum(values[:first]) / np.arange(1, first + 1)
    rest = values[first:]
    # y_t = k·y_(t-1) + (1 − k)·x_t, divided by k^t, is a plain sum.
    powers = keep ** np.arange(1, len(rest) + 1)
    out[first:] = powers * (out[first - 1] + (1.0 - keep) * np.cumsum(rest / powers))
    return out

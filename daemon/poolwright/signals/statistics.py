"""The statistics that a rule may ask for, over the samples of a window or over replicas.

Each is a function of the set of samples, not of their order of arrival; for `last`, the newest
event time wins, and of several samples of that time the largest value. Quantiles of gauges and over
replicas are exact: linear between the closest ranks (Hyndman & Fan 1996, type 7).

Most windows hold a handful of samples, and there are few replicas. Of so few, plain floats are read
several times as fast as arrays are made, with the same digits.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from poolwright.model.sample import Floats

IN_TURN: Final = 7
"""So many numbers numpy adds one after the other, more of them in pairs."""
FEW: Final = 32
"""So many are sorted sooner than they are partitioned."""


def statistic(  # noqa: PLR0911  one line a statistic
    stat: str, at: Floats, values: Floats, window_s: float
) -> float:
    """`stat` over samples; NaN where it has no value (slope of one sample, avg of none).

    `rate` is the sum a second; for counters see `counter_rate`.
    """
    count = len(values)
    match stat:
        case "count":
            return float(count)
        case "sum":
            return total(values)
        case "rate":
            return total(values) / window_s
        case _ if not count:
            return float("nan")
        case "avg":
            return total(values) / count
        case "min":
            return min(values.tolist()) if count <= FEW else float(values.min())
        case "max":
            return max(values.tolist()) if count <= FEW else float(values.max())
        case "last":
            return float(values[at == at.max()].max())
        case "slope":
            return slope(at, values, np.ones(count))
        case _:
            return percentile(values.tolist(), float(stat[1:]))


def total(values: Floats) -> float:
    """The sum, to the last digit that of numpy."""
    if len(values) > IN_TURN:
        return float(values.sum())
    found = 0.0
    for value in values.tolist():
        found += value
    return found


def percentile(values: Sequence[float], percent: float) -> float:
    """Linear between the closest ranks, to the last digit that of numpy. At least one number."""
    if len(values) > FEW:
        return float(np.percentile(values, percent))
    rising = sorted(values)
    rank = (len(rising) - 1) * (percent / 100.0)
    below = int(rank)
    low, high = rising[below], rising[min(below + 1, len(rising) - 1)]
    share = rank - below
    # From the nearer one, so that the farther one is reached exactly, too.
    if share < 0.5:
        return low + (high - low) * share
    return high - (high - low) * (1.0 - share)


def counter_rate(at: Floats, values: Floats) -> float:
    """Growth a second of a counter, over resets (it starts at zero again); NaN for one instant."""
    if len(at) < 2 or at[-1] <= at[0]:
        return float("nan")
    growth = np.diff(values)
    growth = np.where(growth < 0, values[1:], growth)
    return float(growth.sum() / (at[-1] - at[0]))


def slope(at: Floats, sums: Floats, counts: Floats) -> float:
    """Least squares, a second, of `counts[i]` samples at `at[i]` that add up to `sums[i]`.

    NaN for fewer than two instants. At least one sample, and no count of zero.
    """
    # From the earliest first: the mean of equal times is not always exactly that time.
    offset = at - at.min()
    samples = float(counts.sum())
    offset -= float((counts * offset).sum()) / samples
    spread = float((counts * offset * offset).sum())
    if not spread:
        return float("nan")
    with np.errstate(over="ignore", invalid="ignore"):
        beside = sums - counts * (float(sums.sum()) / samples)
        return float((offset * beside).sum()) / spread


def across_replicas(how: str, values: list[float]) -> float:
    """Combines one number a replica. `values` is not empty."""
    numbers = np.array(values)
    return statistic(how, np.zeros(len(numbers)), numbers, 1.0)

"""The statistics that a rule may ask for, over the samples of a window or over replicas.

Each is a function of the set of samples, not of their order of arrival; for `last`, the newest
event time wins, and of several samples of that time the largest value. Quantiles of gauges and over
replicas are exact: linear between the closest ranks (Hyndman & Fan 1996, type 7).
"""

import numpy as np

from poolwright.model.sample import Floats


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
            return float(values.sum())
        case "rate":
            return float(values.sum()) / window_s
        case _ if not count:
            return float("nan")
        case "avg":
            return float(values.sum()) / count
        case "min":
            return float(values.min())
        case "max":
            return float(values.max())
        case "last":
            return float(values[at == at.max()].max())
        case "slope":
            return slope(at, values, np.ones(count))
        case _:
            return float(np.percentile(values, float(stat[1:])))


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

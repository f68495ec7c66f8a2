"""A plan made from the arrivals themselves: an approximation, from above, of the cheapest counts.

What the demand needs is taken second by second from an envelope of the true arrivals at the plant's
true speed (`capacity.need`), scaled by `k`, cut at a height, and held over windows. Every count is
ordered as early as a start can take, and nothing is given back that would be ordered again within
a start. `backtest.searching` looks for the cheapest `k`, cut and window that keep the attainment.
"""

from dataclasses import dataclass

import numpy as np

from poolwright.backtest.figures import Counts, Floats
from poolwright.backtest.peers.peer import Second
from poolwright.backtest.world import DRAIN_S, Limits
from poolwright.capacity.need import Stream, needs
from poolwright.simulation.spec import PoolSpec
from poolwright.simulation.workloads import Workload


def need_by_second(workload: Workload, limits: Limits) -> Floats:
    """Replicas needed at each second of the trace and the drain after it, fractions included."""
    seconds = int(workload.duration_s + DRAIN_S) + 1
    return needs(by_second(workload, seconds), limits.speed, limits.carrying, seconds).at_once


def by_second(workload: Workload, seconds: int) -> Stream:
    """What comes in each second of the trace; what comes later, in the last one."""
    second = np.minimum(workload.arrival_s.astype(np.int64), seconds - 1)

    def per_second(weights: Floats | None = None) -> Floats:
        return np.bincount(second, weights, minlength=seconds).astype(np.float64)

    return Stream(
        per_second(),
        per_second(workload.input_tokens.astype(np.float64)),
        per_second(workload.output_tokens.astype(np.float64)),
    )


def counts(need: Floats, k: float, *, cut: float, window_s: int, lead_s: int) -> Counts:
    """Whole replicas to have ordered at each second; `cut` is the most that need may count for."""
    wanted = np.ceil(np.minimum(need * k, cut) - 1e-9).astype(np.int64)
    padded = np.pad(wanted, (0, -len(wanted) % window_s), mode="edge")
    held = np.repeat(padded.reshape(-1, window_s).max(axis=1), window_s)[: len(wanted)]
    return _highest_ahead(held, lead_s)


def _highest_ahead(values: Counts, ahead: int) -> Counts:
    """The maximum of each value and the `ahead` ones after it, by doubling."""
    found, span = values, 1
    while span < ahead + 1:
        shift = min(span, ahead + 1 - span)
        moved = np.concatenate((found[shift:], np.repeat(found[-1:], min(shift, len(found)))))
        found, span = np.maximum(found, moved[: len(found)]), span + shift
    return found


def lead_s(pool: PoolSpec) -> int:
    """The longest that a start can take, and the second in which it is ordered."""
    return int(pool.startup_s * (1.0 + pool.startup_jitter)) + 2


@dataclass(frozen=True, slots=True)
class Clairvoyant:
    """Follows counts by second, the first of which is for `origin_s`."""

    plan: Counts
    origin_s: float
    every_s: float = 1.0

    def observe(self, second: Second) -> None:
        """It knows already."""

    def replicas(self, now: Second) -> int:
        second = int(now.at - self.origin_s)
        return int(self.plan[min(max(second, 0), len(self.plan) - 1)])

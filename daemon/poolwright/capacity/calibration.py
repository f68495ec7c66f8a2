"""Corrects the model of capacity by what became of the requests.

A model of averages knows nothing of a giant prompt that slows its neighbours down. Where requests
missed their SLO although the model said that the replicas would do, it asks for more from then on;
where fewer miss than the SLO allows, the correction shrinks again. It never goes below one: beyond
what the model calls the edge almost all requests miss at once, and trying that out costs more than
it saves.
"""

import math
from typing import Final

import numpy as np

from poolwright.model.sample import Floats

GAIN: Final = 16.0
"""Growth (log) of the correction, per unit of excess miss rate held over `MEMORY_S`."""
SPENT: Final = 0.5
"""Share of the allowed misses that the model may cause; the rest is for sudden demand."""
LARGEST: Final = 1.8
FIRST: Final = 1.1
LEEWAY: Final = 4.0
"""Share of blocks that may be short, per share of requests that may miss: at first, at least, at
most, and its growth (log) per unit of unspent miss rate held over `MEMORY_S`."""
LEAST_LEEWAY: Final = 1.5
MOST_LEEWAY: Final = 12.0
LEEWAY_GAIN: Final = 15.0
LEAST_QUANTILE: Final = 0.5
"""However lax the attainment: to be short in most blocks is to be short."""
BEARABLE: Final = 0.8
"""Share of the allowed misses that is aimed at."""
STEPS: Final = 40
TESTED_REQUESTS: Final = 100.0
LEAST_REQUESTS: Final = 300.0
MEMORY_S: Final = 600.0


class Calibration:
    """`factor` multiplies the modelled need of a pool."""

    __slots__ = ("_loads", "_log", "_log_leeway", "missed", "seen")

    def __init__(self) -> None:
        self._log = math.log(FIRST)
        self._loads = np.zeros(STEPS)
        self._log_leeway = math.log(LEEWAY)
        self.seen = 0.0
        """Requests that the model said would be served well."""
        self.missed = 0.0
        """Those of them that were not."""

    @property
    def factor(self) -> float:
        return math.exp(self._log)

    @property
    def tested(self) -> float:
        """The load (need over ready replicas) that enough requests have met; 0 at first."""
        from_above = np.cumsum(self._loads[::-1])[::-1]
        met = np.flatnonzero(from_above >= TESTED_REQUESTS)
        return float(met[-1] + 1) / STEPS if len(met) else 0.0

    def meet(self, loads: Floats) -> None:
        """Takes the load that each request met."""
        bins = np.clip(loads * STEPS, 0, STEPS - 1).astype(np.intp)
        self._loads += np.bincount(bins, minlength=STEPS)

    def quantile(self, attainment: float) -> float:
        """The quantile of a block's peak need to be ready for.

        A block whose peak goes beyond it misses some of its requests, not all of them. How many
        such blocks the attainment can bear is learned from how many requests missed in all, as in
        adaptive conformal inference (Gibbs & Candès 2021).
        """
        return max(LEAST_QUANTILE, 1.0 - math.exp(self._log_leeway) * (1.0 - attainment))

    def attained(self, ended: int, missed: int, attainment: float, requests_per_s: float) -> None:
        """All requests that ended and could have been served well by enough replicas."""
        scale = max(requests_per_s * MEMORY_S, LEAST_REQUESTS)
        allowed = BEARABLE * (1.0 - attainment) * ended
        self._log_leeway += LEEWAY_GAIN * (allowed - missed) / scale
        self._log_leeway = min(max(self._log_leeway, math.log(LEAST_LEEWAY)), math.log(MOST_LEEWAY))

    def observe(self, seen: int, missed: int, attainment: float, requests_per_s: float) -> None:
        """Requests that ended while the (corrected) need was below the replicas that were ready."""
        self.seen += seen
        self.missed += missed
        scale = max(requests_per_s * MEMORY_S, LEAST_REQUESTS)
        allowed = SPENT * (1.0 - attainment) * seen
        self._log += GAIN * (missed - allowed) / scale
        self._log = min(max(self._log, 0.0), math.log(LARGEST))

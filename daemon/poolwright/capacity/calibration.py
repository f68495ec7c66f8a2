"""Corrects the model of capacity by what became of the requests.

A model of averages knows nothing of a giant prompt that slows its neighbours down. Where more
requests missed their SLO than the model foresaw for the replicas that were ready, it asks for more
from then on; where fewer missed, for less. It hardly goes below one: beyond what the model calls
the edge almost all requests miss at once, and trying that out costs more than it saves.
"""

import math
from typing import Any, Final

import numpy as np

from poolwright.model.sample import Floats

GAIN: Final = 16.0
"""Growth (log) of the correction, per unit of excess miss rate held over `MEMORY_S`."""
SPENT: Final = 0.5
"""Share of the allowed misses that the model need not foresee."""
SMALLEST: Final = 0.95
"""Where fewer missed than the model foresaw; without such a test it is never below one."""
LARGEST: Final = 1.8
FIRST: Final = 1.05
LEEWAY: Final = 1.5
"""Share of arrivals that may meet too few replicas, per share of requests that may miss: at first,
at least, at most, and its growth (log) per unit of unspent miss rate held over `MEMORY_S`."""
LEAST_LEEWAY: Final = 0.5
MOST_LEEWAY: Final = 4.0
LEEWAY_GAIN: Final = 20.0
OF_ALL: Final = ""
"""In place of a class: what an older version kept of all together."""
LEAST_QUANTILE: Final = 0.5
"""However lax the attainment: to be short for most arrivals is to be short."""
BEARABLE: Final = 0.7
"""Share of the allowed misses that is aimed at."""
STEPS: Final = 40
TESTED_REQUESTS: Final = 100.0
TRIAL: Final = 0.5
"""How much heavier than was tested the replicas may be loaded at once."""
LEAST_REQUESTS: Final = 300.0
MEMORY_S: Final = 600.0


class Calibration:
    """`factor` multiplies the modelled need of a pool."""

    __slots__ = ("_loads", "_log", "_log_leeway")

    def __init__(self) -> None:
        self._log = math.log(FIRST)
        self._loads = np.zeros(STEPS)
        self._log_leeway: dict[str, float] = {}
        """By request class."""

    def share_leeway(self, request_class: str) -> None:
        """Makes the one leeway that an older version kept that of the class, or `OF_ALL`."""
        kept: Any = self._log_leeway
        self._log_leeway = {request_class: kept}

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
        bins = np.minimum(np.maximum(loads * STEPS, 0), STEPS - 1).astype(np.intp)
        self._loads += np.bincount(bins, minlength=STEPS)

    def quantile(self, request_class: str, attainment: float) -> float:
        """The quantile of what arrivals need that is to be ready for the class's sake.

        How many of them may meet too few replicas is learned from how many requests missed in
        all, as in adaptive conformal inference (Gibbs & Candès 2021).
        """
        return max(LEAST_QUANTILE, 1.0 - math.exp(self._leeway(request_class)) * (1.0 - attainment))

    def attained(
        self, request_class: str, ended: int, missed: int, attainment: float, requests_per_s: float
    ) -> None:
        """All requests of a class that ended and could have been served well by enough replicas."""
        scale = max(requests_per_s * MEMORY_S, LEAST_REQUESTS)
        allowed = BEARABLE * (1.0 - attainment) * ended
        leeway = self._leeway(request_class) + LEEWAY_GAIN * (allowed - missed) / scale
        leeway = min(max(leeway, math.log(LEAST_LEEWAY)), math.log(MOST_LEEWAY))
        self._log_leeway[request_class] = leeway

    def _leeway(self, request_class: str) -> float:
        """Its logarithm."""
        first = self._log_leeway.get(OF_ALL, math.log(LEEWAY))
        return self._log_leeway.get(request_class, first)

    def observe(
        self, seen: int, missed: int, foreseen: int, attainment: float, requests_per_s: float
    ) -> None:
        """Requests that ended, those that missed, and those of which the model said they would."""
        scale = max(requests_per_s * MEMORY_S, LEAST_REQUESTS)
        spared = SPENT * (1.0 - attainment) * seen
        least = math.log(SMALLEST) if foreseen > missed else min(self._log, 0.0)
        self._log += GAIN * (missed - foreseen - spared) / scale
        self._log = min(max(self._log, least), math.log(LARGEST))

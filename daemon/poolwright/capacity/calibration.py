"""Corrects the model of capacity by what became of the requests.

A model of averages knows nothing of a giant prompt that slows its neighbours down. Where requests
missed their SLO although the model said that the replicas would do, it asks for more from then on;
where fewer miss than the SLO allows, the correction shrinks again. It never goes below one: beyond
what the model calls the edge almost all requests miss at once, and trying that out costs more than
it saves.
"""

import math
from typing import Final

GAIN: Final = 8.0
"""Growth (log) of the correction, per unit of excess miss rate held over `MEMORY_S`."""
SPENT: Final = 0.5
"""Share of the allowed misses that the model may cause; the rest is for sudden demand."""
LARGEST: Final = 1.8
FIRST: Final = 1.1
MOST_AT_FIRST: Final = 1.5
LEAST_REQUESTS: Final = 300.0
MEMORY_S: Final = 600.0


class Calibration:
    """`factor` multiplies the modelled need of a pool."""

    __slots__ = ("_log", "_started", "missed", "seen")

    def __init__(self) -> None:
        self._log = math.log(FIRST)
        self._started = False
        self.seen = 0.0
        """Requests that the model said would be served well."""
        self.missed = 0.0
        """Those of them that were not."""

    @property
    def factor(self) -> float:
        return math.exp(self._log)

    def start(self, lumpiness: float) -> None:
        """Before outcomes: prompts that are long beside a decode time slow their neighbours down.

        `lumpiness` is the size-biased mean prefill over the mean time that a request decodes.
        """
        if not self._started:
            self._started = True
            self._log = math.log(min(1.0 + max(lumpiness, 0.0), MOST_AT_FIRST))

    def observe(self, seen: int, missed: int, attainment: float, requests_per_s: float) -> None:
        """Requests that ended while the (corrected) need was below the replicas that were ready."""
        self.seen += seen
        self.missed += missed
        scale = max(requests_per_s * MEMORY_S, LEAST_REQUESTS)
        allowed = SPENT * (1.0 - attainment) * seen
        self._log += GAIN * (missed - allowed) / scale
        self._log = min(max(self._log, 0.0), math.log(LARGEST))

"""SkyPilot SkyServe's request-rate autoscaler.

Source: SkyPilot documentation, "Autoscaling" of SkyServe (`target_qps_per_replica`,
`upscale_delay_seconds` 300, `downscale_delay_seconds` 1200), its QPS window of 60 s and its
decision interval of 20 s.
"""

import math
from collections import deque
from typing import Final

from poolwright.backtest.peers.peer import Second

DECISION_S: Final = 20.0
QPS_WINDOW_S: Final = 60
UPSCALE_DELAY_S: Final = 300.0
DOWNSCALE_DELAY_S: Final = 1200.0


class SkyServe:
    every_s = DECISION_S

    def __init__(self, target_qps_per_replica: float) -> None:
        self._target = target_qps_per_replica
        self._arrivals: deque[int] = deque(maxlen=QPS_WINDOW_S)
        self._ups = 0
        self._downs = 0

    def observe(self, second: Second) -> None:
        self._arrivals.append(second.arrivals)

    def replicas(self, now: Second) -> int:
        """The wish, once as many decisions in a row as fill the delay point the same way."""
        current = now.pool.desired
        wish = math.ceil(sum(self._arrivals) / QPS_WINDOW_S / self._target)
        self._ups = self._ups + 1 if wish > current else 0
        self._downs = self._downs + 1 if wish < current else 0
        if self._ups >= UPSCALE_DELAY_S // DECISION_S:
            self._ups = 0
            return wish
        if self._downs >= DOWNSCALE_DELAY_S // DECISION_S:
            self._downs = 0
            return wish
        return current

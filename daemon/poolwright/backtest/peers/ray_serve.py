"""Ray Serve's request-based autoscaling.

Source: Ray Serve documentation, "Autoscaling" and "Advanced Autoscaling Guide", and the defaults
of `AutoscalingConfig`: look_back_period_s 30, metrics_interval_s 10, upscale_delay_s 30,
downscale_delay_s 600, up- and downscaling factors 1. The control loop runs every 0.1 s; here every
second, which the delays do not notice.
"""

import math
from collections import deque
from typing import Final

from poolwright.backtest.peers.peer import Second

LOOK_BACK_S: Final = 30.0
METRICS_EVERY_S: Final = 10.0
UPSCALE_DELAY_S: Final = 30.0
DOWNSCALE_DELAY_S: Final = 600.0


class RayServe:
    every_s = 1.0

    def __init__(self, target_ongoing_requests: float) -> None:
        self._target = target_ongoing_requests
        self._pushed: deque[tuple[float, float]] = deque()
        self._since: float | None = None
        self._upward = False

    def observe(self, second: Second) -> None:
        """Handles and replicas push what they hold every metrics interval."""
        if self._pushed and second.at - self._pushed[-1][0] < METRICS_EVERY_S:
            return
        self._pushed.append((second.at, second.concurrency))
        while self._pushed[0][0] <= second.at - LOOK_BACK_S:
            self._pushed.popleft()

    def replicas(self, now: Second) -> int:
        """The wish, once it has pointed the same way for the whole delay."""
        current = now.pool.desired
        ongoing = sum(value for _, value in self._pushed) / max(len(self._pushed), 1)
        wish = max(1, math.ceil(ongoing / self._target))
        if wish == current:
            self._since = None
            return current
        if self._since is None or self._upward != (wish > current):
            self._since, self._upward = now.at, wish > current
        if now.at - self._since < (UPSCALE_DELAY_S if self._upward else DOWNSCALE_DELAY_S):
            return current
        self._since = None
        return wish

"""Knative's Pod Autoscaler on concurrency.

Source: Knative Serving documentation, "About autoscaling" and "Configuring concurrency", and the
defaults of its ConfigMap `config-autoscaler`: stable window 60 s, panic window 10 % of it, panic
threshold 200 %, max-scale-up-rate 1000, max-scale-down-rate 2, scale-down-delay 0, tick 2 s. The
target utilisation (70 %) is part of the target that is swept.
"""

import math
from collections import deque
from typing import Final

from poolwright.backtest.peers.peer import Second

TICK_S: Final = 2.0
STABLE_WINDOW_S: Final = 60
PANIC_WINDOW_S: Final = 6
PANIC_THRESHOLD: Final = 2.0
MAX_SCALE_UP_RATE: Final = 1000.0
MAX_SCALE_DOWN_RATE: Final = 2.0


class KnativePodAutoscaler:
    every_s = TICK_S

    def __init__(self, target: float) -> None:
        self._target = target
        self._seconds: deque[float] = deque(maxlen=STABLE_WINDOW_S)
        self._panicked_at: float | None = None
        self._most = 0
        """The highest count of this panic."""

    def observe(self, second: Second) -> None:
        self._seconds.append(second.concurrency)

    def replicas(self, now: Second) -> int:
        ready = max(now.pool.ready, 1)
        panic_pods = math.ceil(self._mean(PANIC_WINDOW_S) / self._target)
        stable = self._bounded(math.ceil(self._mean(STABLE_WINDOW_S) / self._target), ready)
        panic = self._bounded(panic_pods, ready)
        if panic_pods / ready >= PANIC_THRESHOLD:
            self._panicked_at = now.at
        elif self._panicked_at is not None and now.at - self._panicked_at > STABLE_WINDOW_S:
            self._panicked_at, self._most = None, 0
        if self._panicked_at is None:
            return stable
        self._most = max(self._most, stable, panic)
        return self._most

    def _mean(self, seconds: int) -> float:
        last = list(self._seconds)[-seconds:]
        return sum(last) / max(len(last), 1)

    @staticmethod
    def _bounded(pods: int, ready: int) -> int:
        least = math.floor(ready / MAX_SCALE_DOWN_RATE)
        return min(max(pods, least), math.ceil(ready * MAX_SCALE_UP_RATE))

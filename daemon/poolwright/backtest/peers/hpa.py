"""Kubernetes' HorizontalPodAutoscaler on a Pods metric: average concurrency.

Source: Kubernetes documentation, "Horizontal Pod Autoscaling" (algorithm details, configurable
scaling behavior) and the controller's defaults: sync 15 s, tolerance 0.1, scale-down stabilisation
300 s, scale-up by at most max(4 pods, 100 %) in 15 s and no scale-up stabilisation.

The metric is the average of the last sync period, without the minute that a metrics adapter adds.
Requests that wait in a gateway are counted: most deployments' metrics would not show them.
"""

import math
from collections import deque
from typing import Final

from poolwright.backtest.peers.peer import Second

SYNC_S: Final = 15.0
TOLERANCE: Final = 0.1
STABILISE_DOWN_S: Final = 300.0
POLICY_S: Final = 15.0
UP_PODS: Final = 4
UP_FRACTION: Final = 1.0


def desired_pods(usage: float, target: float, *, current: int, ready: int, starting: int) -> int:
    """The algorithm's count for `usage` (of all ready pods together), before any limit.

    Pods that are not ready count as 0 when scaling up and as `target` when scaling down; where
    that turns the direction round, or leaves the ratio within the tolerance, nothing changes.
    """
    if ready == 0:
        return current
    ratio = usage / ready / target
    if starting == 0:
        return current if abs(1.0 - ratio) <= TOLERANCE else math.ceil(ratio * ready)
    pods = ready + starting
    assumed = target * starting if ratio < 1.0 else 0.0
    settled = (usage + assumed) / pods / target
    if abs(1.0 - settled) <= TOLERANCE or (ratio - 1.0) * (settled - 1.0) < 0.0:
        return current
    count = math.ceil(settled * pods)
    if (settled < 1.0 and count > current) or (settled > 1.0 and count < current):
        return current
    return count


class HorizontalPodAutoscaler:
    every_s = SYNC_S

    def __init__(self, target: float) -> None:
        self._target = target
        self._seen: list[float] = []
        self._wishes: deque[tuple[float, int]] = deque()
        self._added: deque[tuple[float, int]] = deque()

    def observe(self, second: Second) -> None:
        self._seen.append(second.concurrency)

    def replicas(self, now: Second) -> int:
        usage = sum(self._seen) / max(len(self._seen), 1)
        self._seen.clear()
        pool = now.pool
        wish = desired_pods(
            usage, self._target, current=pool.desired, ready=pool.ready, starting=pool.starting
        )
        return self._limited(self._stabilised(wish, pool.desired, now.at), pool.desired, now.at)

    def _stabilised(self, wish: int, current: int, at: float) -> int:
        """Down to the highest wish of the window at most."""
        self._wishes.append((at, wish))
        while self._wishes[0][0] <= at - STABILISE_DOWN_S:
            self._wishes.popleft()
        highest = max(count for _, count in self._wishes)
        return wish if wish > current else min(current, highest)

    def _limited(self, wish: int, current: int, at: float) -> int:
        """Up by the more generous policy, counted from where the period began."""
        while self._added and self._added[0][0] <= at - POLICY_S:
            self._added.popleft()
        if wish <= current:
            return wish
        before = current - sum(count for _, count in self._added)
        most = max(before + UP_PODS, math.ceil(before * (1.0 + UP_FRACTION)))
        allowed = min(wish, max(most, current))
        self._added.append((at, allowed - current))
        return allowed

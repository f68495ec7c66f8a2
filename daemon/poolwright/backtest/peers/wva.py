"""llm-d's Workload Variant Autoscaler, its saturation analyser for one variant.

Source: its documentation, "Saturation Analyzer": a replica is saturated at KV usage 0.80 or a
queue of 5; one more when the spare of the others falls below the triggers (KV 0.1, queue 3) on
average; one less when the others would still have them. Metrics are the maximum of a minute, the
interval is 60 s, and nothing is added while a replica is starting.

Swept is the spare that is asked for, as a share of the thresholds, of KV and queue alike (the
defaults are 12.5 % and 60 %). Its counts are carried out at once; in a cluster an HPA follows them.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poolwright.backtest.peers.peer import Gauge, Second

INTERVAL_S: Final = 60.0
KV_THRESHOLD: Final = 0.80
QUEUE_THRESHOLD: Final = 5.0
KV_SPARE_TRIGGER: Final = 0.1
QUEUE_SPARE_TRIGGER: Final = 3.0


@dataclass(frozen=True, slots=True)
class Triggers:
    kv_spare: float = KV_SPARE_TRIGGER
    queue_spare: float = QUEUE_SPARE_TRIGGER


def change(replicas: Sequence[Gauge], triggers: Triggers) -> int:
    """+1, 0 or −1, from each ready replica's KV usage and queue."""
    spare = [
        replica
        for replica in replicas
        if replica.kv_usage < KV_THRESHOLD and replica.waiting < QUEUE_THRESHOLD
    ]
    if not replicas:
        return 0
    kv = sum(replica.kv_usage for replica in spare)
    queue = sum(replica.waiting for replica in spare)

    def enough(over: int) -> bool:
        return (
            KV_THRESHOLD - kv / over >= triggers.kv_spare
            and QUEUE_THRESHOLD - queue / over >= triggers.queue_spare
        )

    if not spare or not enough(len(spare)):
        return 1
    return -1 if len(spare) >= 2 and enough(len(spare) - 1) else 0


class WorkloadVariantAutoscaler:
    every_s = INTERVAL_S

    def __init__(self, triggers: Triggers) -> None:
        self._triggers = triggers
        self._samples: deque[tuple[float, tuple[Gauge, ...]]] = deque()

    def observe(self, second: Second) -> None:
        if second.gauges:
            self._samples.append((second.at, second.gauges))

    def replicas(self, now: Second) -> int:
        while self._samples and self._samples[0][0] <= now.at - INTERVAL_S:
            self._samples.popleft()
        pool = now.pool
        step = change(self._peaks(), self._triggers)
        if step > 0 and pool.starting:
            return pool.desired
        return pool.desired + step

    def _peaks(self) -> list[Gauge]:
        """Each replica of the newest sample, with the highest figures of its minute."""
        found: dict[str, Gauge] = {}
        for _, gauges in reversed(self._samples):
            for gauge in gauges:
                if (peak := found.get(gauge.replica)) is not None:
                    waiting = max(peak.waiting, gauge.waiting)
                    usage = max(peak.kv_usage, gauge.kv_usage)
                    found[gauge.replica] = Gauge(peak.replica, peak.running, waiting, usage)
                elif gauges is self._samples[-1][1]:
                    found[gauge.replica] = gauge
        return list(found.values())

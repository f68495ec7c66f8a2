"""Turns the plant's telemetry into the seconds that another autoscaler may see."""

from collections.abc import Sequence

from poolwright.backtest.peers.peer import Ended, Gauge, Second
from poolwright.model.pool import PoolReport
from poolwright.simulation.plant import Event


class Observer:
    """Of one pool; requests that run or wait are counted for the whole service."""

    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._in_flight = 0

    def second(self, at: float, events: Sequence[Event], report: PoolReport) -> Second:
        """`events` are those of the second that ends at `at`."""
        arrivals = tokens = 0
        concurrency = float(self._in_flight)
        ended: list[Ended] = []
        gauges: list[Gauge] = []
        for event in events:
            match event["type"]:
                case "arrival":
                    arrivals += 1
                    tokens += int(event["input_tokens"])
                    concurrency += at - float(event["at"])
                case "request":
                    self._in_flight -= 1
                    concurrency -= at - float(event["at"])
                    ended.append(_ended(event))
                case "replica" if event["pool"] == self._pool:
                    gauges.append(_gauge(event))
        self._in_flight += arrivals
        return Second(
            at=at,
            pool=report,
            concurrency=max(concurrency, 0.0),
            arrivals=arrivals,
            input_tokens=tokens,
            ended=tuple(ended),
            gauges=tuple(gauges),
        )


def _ended(event: Event) -> Ended:
    return Ended(
        int(event["input_tokens"]),
        int(event["output_tokens"]),
        float(event["ttft_s"]),
        float(event["itl_s"]),
        float(event["e2e_s"]),
    )


def _gauge(event: Event) -> Gauge:
    return Gauge(
        str(event["replica"]),
        float(event["running"]),
        float(event["waiting"]),
        float(event["kv_cache_usage"]),
    )

"""What every autoscaler of a backtest may see, and what it says: a count."""

from dataclasses import dataclass
from typing import Protocol

from poolwright.model.pool import PoolReport


@dataclass(frozen=True, slots=True)
class Gauge:
    """One replica's sample: requests that run on it, its share of those that wait, KV memory."""

    replica: str
    running: float
    waiting: float
    kv_usage: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A request that ended, as a gateway's metrics show it."""

    input_tokens: int
    output_tokens: int
    ttft_s: float
    itl_s: float
    e2e_s: float


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a service: nothing of the future, nothing that its metrics would not show."""

    at: float
    """The end of the second, in epoch seconds."""
    pool: PoolReport
    concurrency: float
    """Requests that ran or waited, on average over the second."""
    arrivals: int
    input_tokens: int
    """Of the arrivals."""
    ended: tuple[Ended, ...] = ()
    gauges: tuple[Gauge, ...] = ()
    """Of the replicas that were sampled in this second; most seconds have none."""


class Peer(Protocol):
    """Sees every second, and is asked for a count every `every_s` seconds."""

    @property
    def every_s(self) -> float: ...

    def observe(self, second: Second) -> None: ...

    def replicas(self, now: Second) -> int:
        """The count wanted; whoever asks keeps it within the pool's bounds."""
        ...

"""Samples in column batches: one numpy array per field, names as numbers of a NameTable."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poolwright.model.names import NameTable

Floats = NDArray[np.float64]
Ids = NDArray[np.int32]
Bools = NDArray[np.bool_]
Index = NDArray[np.intp]
"""Places in a batch."""

REPLICA_METRICS: Final = (
    "requests_running",
    "requests_waiting",
    "kv_cache_usage",
    "prompt_tokens_total",
    "generation_tokens_total",
    "preemptions_total",
    "cache_hit",
    "gpu_utilisation",
)
"""Columns of `ReplicaBatch.values`; on the wire `running` and `waiting` stand for the first two."""

REQUEST_METRICS: Final = ("ttft", "itl", "e2e", "input_tokens", "output_tokens", "rate")
"""Metrics of ended requests (`rate`: requests ended a second)."""

ARRIVAL_METRICS: Final = ("arrivals", "arrival_tokens")
"""Metrics of accepted requests: one per arrival, and its input tokens."""


@dataclass(frozen=True, slots=True)
class ArrivalBatch:
    """Requests accepted by a gateway. `input_tokens` is NaN where the event does not say."""

    at: Floats
    service: Ids
    request_class: Ids
    input_tokens: Floats


@dataclass(frozen=True, slots=True)
class RequestBatch:
    """Requests that ended. Seconds; NaN where the event does not say (a failed one has no ttft)."""

    at: Floats
    service: Ids
    pool: Ids
    replica: Ids
    request_class: Ids
    input_tokens: Floats
    output_tokens: Floats
    ttft_s: Floats
    itl_s: Floats
    e2e_s: Floats
    ok: Bools


@dataclass(frozen=True, slots=True)
class ReplicaBatch:
    """Gauge samples of replicas; `values[i, m]` is REPLICA_METRICS[m], NaN where not reported."""

    at: Floats
    service: Ids
    pool: Ids
    replica: Ids
    values: Floats


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Trace context of the message that brought samples of a service (W3C ids, lower-case hex)."""

    service: str
    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """What one fetch brought, decoded and valid, with the table of its names."""

    names: NameTable
    arrivals: ArrivalBatch
    requests: RequestBatch
    replicas: ReplicaBatch
    contexts: tuple[TraceContext, ...] = ()

    def __len__(self) -> int:
        return len(self.arrivals.at) + len(self.requests.at) + len(self.replicas.at)

    @property
    def newest_at(self) -> float | None:
        """Event time of the newest sample, None without samples."""
        newest = [
            float(at.max())
            for at in (self.arrivals.at, self.requests.at, self.replicas.at)
            if len(at)
        ]
        return max(newest, default=None)

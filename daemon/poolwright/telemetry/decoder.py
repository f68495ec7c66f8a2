"""Native JSON telemetry → column batches; what cannot be used becomes a dead letter.

Messages hold one event or an array of them. msgspec decodes them into typed structs; the columns
are made a field at a time, and impossible values are found with masks over whole columns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from poolwright.model.names import NameTable
from poolwright.model.sample import (
    REPLICA_METRICS,
    ArrivalBatch,
    Bools,
    Floats,
    Ids,
    ReplicaBatch,
    RequestBatch,
    SampleBatch,
    TraceContext,
)

OK = frozenset({"ok", 200})
FUTURE_S = 300.0
"""Event times further ahead of now are impossible."""
_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stood in Kafka."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message (or one event of an array) that could not be used, and why."""

    reason: str
    detail: str
    place: Place | None
    value: bytes


class Arrival(msgspec.Struct, tag_field="type", tag="arrival", gc=False):
    at: float
    service: str
    request_class: str = msgspec.field(name="class", default="")
    input_tokens: float = _NAN


class Request(msgspec.Struct, tag_field="type", tag="request", gc=False):
    at: float
    service: str
    pool: str
    replica: str = ""
    request_class: str = msgspec.field(name="class", default="")
    input_tokens: float = _NAN
    output_tokens: float = _NAN
    ttft_s: float | None = None
    itl_s: float | None = None
    e2e_s: float | None = None
    status: str | int = "ok"


class Replica(msgspec.Struct, tag_field="type", tag="replica", gc=False):
    at: float
    service: str
    pool: str
    replica: str
    running: float = _NAN
    waiting: float = _NAN
    kv_cache_usage: float = _NAN
    prompt_tokens_total: float = _NAN
    generation_tokens_total: float = _NAN
    preemptions_total: float = _NAN
    cache_hit: float = _NAN
    gpu_utilisation: float = _NAN


Event = Arrival | Request | Replica
_FRACTIONS = [REPLICA_METRICS.index(m) for m in ("kv_cache_usage", "cache_hit", "gpu_utilisation")]
_one_or_many: msgspec.json.Decoder[Event | list[msgspec.Raw]] = msgspec.json.Decoder(
    Event | list[msgspec.Raw]
)
_one: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class Decoder:
    """Decodes for a set of services (None: any) with names interned in `names`."""

    def __init__(self, names: NameTable, services: frozenset[str] | None) -> None:
        self._names = names
        self._services = services

    def decode(
        self,
        values: Sequence[bytes],
        *,
        now: float | None,
        places: Sequence[Place] | None,
        contexts: tuple[TraceContext, ...] = (),
    ) -> tuple[SampleBatch, list[DeadLetter]]:
        """All samples that can be used, and a dead letter for each message or event that cannot."""
        dead: list[DeadLetter] = []
        events: dict[type, tuple[list[Any], list[int]]] = {
            kind: ([], []) for kind in (Arrival, Request, Replica)
        }
        decode = _one_or_many.decode
        for i, value in enumerate(values):
            try:
                event = decode(value)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                dead.append(_letter("undecodable", str(error), i, values, places))
                continue
            if type(event) is list:
                for raw in event:
                    try:
                        one = _one.decode(raw)
                    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                        place = None if places is None else places[i]
                        dead.append(DeadLetter("undecodable", str(error), place, bytes(raw)))
                        continue
                    found, origin = events[type(one)]
                    found.append(one)
                    origin.append(i)
            else:
                found, origin = events[type(event)]
                found.append(event)
                origin.append(i)

        def refuse(reason: str, which: Bools, origin: list[int]) -> None:
            dead.extend(
                _letter(reason, "", origin[j], values, places) for j in np.flatnonzero(which)
            )

        latest = np.inf if now is None else now + FUTURE_S
        batch = SampleBatch(
            self._names,
            self._arrivals(*events[Arrival], latest, refuse),
            self._requests(*events[Request], latest, refuse),
            self._replicas(*events[Replica], latest, refuse),
            contexts,
        )
        return batch, dead

    def _ids(self, names: list[str]) -> Ids:
        return np.array(self._names.intern_all(names), dtype=np.int32)

    def _unknown(self, names: list[str]) -> Bools:
        known = self._services
        if known is None:
            return np.zeros(len(names), dtype=np.bool_)
        if known.issuperset(names):
            return np.zeros(len(names), dtype=np.bool_)
        return np.fromiter((name not in known for name in names), np.bool_, len(names))

    def _keep(
        self,
        at: Floats,
        services: list[str],
        numbers: Floats,
        latest: float,
        origin: list[int],
        refuse: Callable[[str, Bools, list[int]], None],
    ) -> Bools:
        # NaN compares false: an absent number is not impossible, a negative one is.
        bad = ~np.isfinite(at) | (at <= 0) | (numbers < 0).any(axis=1)
        bad |= np.isinf(numbers).any(axis=1)
        future = (at > latest) & ~bad
        unknown = self._unknown(services) & ~bad & ~future
        for reason, which in (
            ("impossible_value", bad),
            ("future", future),
            ("unknown_service", unknown),
        ):
            if which.any():
                refuse(reason, which, origin)
        keep: Bools = ~(bad | future | unknown)
        return keep

    def _arrivals(
        self,
        events: list[Arrival],
        origin: list[int],
        latest: float,
        refuse: Callable[[str, Bools, list[int]], None],
    ) -> ArrivalBatch:
        at = np.array([e.at for e in events], dtype=np.float64)
        tokens = np.array([e.input_tokens for e in events], dtype=np.float64)
        services = [e.service for e in events]
        keep = self._keep(at, services, tokens[:, None], latest, origin, refuse)
        if not keep.all():
            events = [e for e, kept in zip(events, keep.tolist(), strict=True) if kept]
        return ArrivalBatch(
            at[keep],
            self._ids([e.service for e in events]),
            self._ids([e.request_class for e in events]),
            tokens[keep],
        )

    def _requests(
        self,
        events: list[Request],
        origin: list[int],
        latest: float,
        refuse: Callable[[str, Bools, list[int]], None],
    ) -> RequestBatch:
        at = np.array([e.at for e in events], dtype=np.float64)
        numbers = np.empty((len(events), 5), order="F")
        numbers[:, 0] = [e.input_tokens for e in events]
        numbers[:, 1] = [e.output_tokens for e in events]
        numbers[:, 2] = np.array([e.ttft_s for e in events], dtype=np.float64)
        numbers[:, 3] = np.array([e.itl_s for e in events], dtype=np.float64)
        numbers[:, 4] = np.array([e.e2e_s for e in events], dtype=np.float64)
        keep = self._keep(at, [e.service for e in events], numbers, latest, origin, refuse)
        if not keep.all():
            events = [e for e, kept in zip(events, keep.tolist(), strict=True) if kept]
        numbers = numbers[keep]
        tokens_in, tokens_out, ttft_s, itl_s, e2e_s = (numbers[:, i].copy() for i in range(5))
        return RequestBatch(
            at[keep],
            self._ids([e.service for e in events]),
            self._ids([e.pool for e in events]),
            self._ids([e.replica for e in events]),
            self._ids([e.request_class for e in events]),
            tokens_in,
            tokens_out,
            ttft_s,
            itl_s,
            e2e_s,
            np.array([e.status in OK for e in events], dtype=np.bool_),
        )

    def _replicas(
        self,
        events: list[Replica],
        origin: list[int],
        latest: float,
        refuse: Callable[[str, Bools, list[int]], None],
    ) -> ReplicaBatch:
        at = np.array([e.at for e in events], dtype=np.float64)
        numbers = np.array(
            [
                (
                    e.running,
                    e.waiting,
                    e.kv_cache_usage,
                    e.prompt_tokens_total,
                    e.generation_tokens_total,
                    e.preemptions_total,
                    e.cache_hit,
                    e.gpu_utilisation,
                )
                for e in events
            ],
            dtype=np.float64,
        ).reshape(-1, len(REPLICA_METRICS))
        # A fraction above one by more than rounding is refused like a negative number.
        checked = numbers.copy()
        over = checked[:, _FRACTIONS] > 1.001
        checked[:, _FRACTIONS] = np.where(over, -1.0, checked[:, _FRACTIONS])
        keep = self._keep(at, [e.service for e in events], checked, latest, origin, refuse)
        if not keep.all():
            events = [e for e, kept in zip(events, keep.tolist(), strict=True) if kept]
        return ReplicaBatch(
            at[keep],
            self._ids([e.service for e in events]),
            self._ids([e.pool for e in events]),
            self._ids([e.replica for e in events]),
            numbers[keep],
        )


def _letter(
    reason: str,
    detail: str,
    i: int,
    values: Sequence[bytes],
    places: Sequence[Place] | None,
) -> DeadLetter:
    return DeadLetter(reason, detail, None if places is None else places[i], bytes(values[i]))

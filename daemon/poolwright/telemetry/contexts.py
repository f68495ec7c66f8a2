"""W3C trace contexts of messages: what a decision is linked to.

Headers are a producer's to fill in, so that nothing in them is believed before it is checked: an
id that is no number would otherwise end in the tracer.
"""

import re
from collections.abc import Container, Sequence
from typing import Protocol

from poolwright.model.sample import TraceContext

MAX_CONTEXTS = 16
"""Of one fetch of a partition; the newest are kept."""

_TRACEPARENT = re.compile(
    rb"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})"
    rb"-(?!0{16})(?P<span>[0-9a-f]{16})-[0-9a-f]{2}(?P<more>-.*)?"
)


class Keyed(Protocol):
    """The part of a Kafka record that names the service and carries the context."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


def trace_contexts(
    records: Sequence[Keyed], services: Container[str] | None
) -> tuple[TraceContext, ...]:
    """The newest contexts, oldest first, of messages keyed by one of `services` (None: any)."""
    found: list[TraceContext] = []
    for record in reversed(records):
        if not record.headers or record.key is None:
            continue
        service = record.key.decode("utf-8", "replace")
        if services is not None and service not in services:
            continue
        if (context := _context(service, record.headers)) is not None:
            found.append(context)
            if len(found) == MAX_CONTEXTS:
                break
    return tuple(reversed(found))


def _context(service: str, headers: Sequence[tuple[str, bytes | None]]) -> TraceContext | None:
    for name, value in headers:
        if name != "traceparent" or (found := _TRACEPARENT.fullmatch(value or b"")) is None:
            continue
        if found["version"] == b"00" and found["more"]:
            continue  # only later versions may append fields
        return TraceContext(service, found["trace"].decode(), found["span"].decode())
    return None

"""Headers are a producer's to fill in: whatever is in them, consuming goes on."""

from dataclasses import dataclass

import pytest

from poolwright.model.sample import TraceContext
from poolwright.telemetry.contexts import MAX_CONTEXTS, trace_contexts

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01".encode()


@dataclass(frozen=True)
class Record:
    headers: tuple[tuple[str, bytes | None], ...]
    key: bytes | None = b"chat"


def with_parent(value: bytes | None, key: bytes | None = b"chat") -> Record:
    return Record((("other", b"x"), ("traceparent", value)), key)


@pytest.mark.parametrize(
    "value",
    [
        GOOD,
        GOOD[:-2] + b"00",  # not sampled, and linked all the same
        b"01" + GOOD[2:] + b"-what-later-versions-append",
        b"cc" + GOOD[2:],
    ],
)
def test_a_context_is_read(value: bytes) -> None:
    assert trace_contexts([with_parent(value)], None) == (TraceContext("chat", TRACE, SPAN),)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff\xfe",
        b"ff" + GOOD[2:],
        GOOD + b"-more",  # version 00 has four fields
        GOOD.upper(),
        GOOD.replace(TRACE.encode(), b"0" * 32),
        GOOD.replace(SPAN.encode(), b"0" * 16),
        GOOD.replace(TRACE.encode(), b"z" * 32),
        GOOD[:-1],
    ],
)
def test_what_is_no_context_is_passed_over(value: bytes | None) -> None:
    assert trace_contexts([with_parent(value), with_parent(GOOD)], None) == (
        TraceContext("chat", TRACE, SPAN),
    )


def test_messages_without_key_or_of_unknown_services_leave_nothing_behind() -> None:
    records = [with_parent(GOOD, None), with_parent(GOOD, b"elsewhere"), Record(())]
    assert trace_contexts(records, frozenset({"chat"})) == ()


def test_the_newest_are_kept_in_their_order() -> None:
    records = [with_parent(f"00-{TRACE}-{n:016x}-01".encode()) for n in range(1, 41)]
    spans = [context.span_id for context in trace_contexts(records, None)]
    assert spans == [f"{n:016x}" for n in range(41 - MAX_CONTEXTS, 41)]

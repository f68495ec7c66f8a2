"""How spans leave the daemon: to the OTLP endpoint, or to the journal where none is set.

A receiver that is down must neither hold the daemon up nor lose spans in silence: the number that
waits is bounded, and every span that is not delivered is counted at the moment of its loss. The
journal has what it takes to make those spans again (`poolwright traces rebuild`).
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from typing_extensions import override

from poolwright.errors import JournalError
from poolwright.settings import TraceSettings

log = logging.getLogger(__name__)

CAPACITY = 2048
"""Spans that may wait, the batch under way included."""
BATCH = 512
CLOSE_REAL_S = 1.0


class SpanSink(Protocol):
    """Where spans go without an endpoint: the journal. One call is one transaction."""

    def record_spans(self, spans: Sequence[tuple[str, bytes]]) -> None:
        """Keeps (decision id, span as JSON)."""


class _ToSink(SpanExporter):
    def __init__(self, sink: SpanSink) -> None:
        self._sink = sink
        self._closed = False

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._closed:
            return SpanExportResult.FAILURE
        rows = [(_trace_id(span), span.to_json(indent=0).encode()) for span in spans]
        try:
            self._sink.record_spans(rows)
        except JournalError as error:
            log.warning("%d spans are not kept: %s", len(spans), error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    @override
    def shutdown(self) -> None:
        self._closed = True


def _trace_id(span: ReadableSpan) -> str:
    context = span.get_span_context()
    return "" if context is None else f"{context.trace_id:032x}"


def make_exporter(settings: TraceSettings, sink: SpanSink) -> SpanExporter:
    """The exporter that the settings ask for; `sink` where they name no endpoint."""
    if settings.otlp_endpoint is None:
        return _ToSink(sink)
    # Imported late: gRPC alone costs a tenth of a second and is not needed without an endpoint.
    if settings.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )

        return OTLPSpanExporter(
            endpoint=settings.otlp_endpoint,
            insecure=settings.otlp_endpoint.startswith("http://"),
            timeout=settings.export_timeout_s,
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter as HttpExporter,
    )

    return HttpExporter(
        endpoint=settings.otlp_endpoint.rstrip("/") + "/v1/traces",
        timeout=settings.export_timeout_s,
    )


class _Telling(SpanExporter):
    """Tells how each batch ended."""

    def __init__(self, inner: SpanExporter, ended: Callable[[int, bool], None]) -> None:
        self._inner = inner
        self._ended = ended

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        delivered = False
        try:
            result = self._inner.export(spans)
            delivered = result is SpanExportResult.SUCCESS
        finally:
            self._ended(len(spans), delivered)
        return result

    @override
    def shutdown(self) -> None:
        """Whoever owns the inner exporter ends it."""


class CountedExport(SpanProcessor):
    """The SDK's batches behind a bound of our own, so that its queue never drops unseen."""

    def __init__(self, exporter: SpanExporter, capacity: int = CAPACITY) -> None:
        self._exporter = exporter
        self._capacity = capacity
        self._lock = threading.Lock()
        self._waiting = 0
        self._dropped = 0
        self._delivered = 0
        self._closed = False
        self._batches = BatchSpanProcessor(
            _Telling(exporter, self._ended),
            max_queue_size=capacity,
            max_export_batch_size=min(BATCH, capacity),
        )

    @property
    def dropped(self) -> int:
        """Spans that found no room, were refused by the receiver, or came after the end."""
        with self._lock:
            return self._dropped

    @property
    def delivered(self) -> int:
        """Spans that the receiver, or the journal, has taken."""
        with self._lock:
            return self._delivered

    @property
    def waiting(self) -> int:
        with self._lock:
            return self._waiting

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        pass

    @override
    def on_end(self, span: ReadableSpan) -> None:
        with self._lock:
            if self._closed or self._waiting >= self._capacity:
                self._dropped += 1
                return
            self._waiting += 1
        self._batches.on_end(span)

    def _ended(self, spans: int, delivered: bool) -> None:
        with self._lock:
            if self._closed:
                return  # They were counted as dropped when the waiting ended.
            self._waiting -= spans
            if delivered:
                self._delivered += spans
            else:
                self._dropped += spans

    @override
    def force_flush(self, timeout_millis: int | None = 30_000) -> bool:
        """Delivers what waits, within the time: the SDK's own flush waits for ever."""
        flushing = threading.Thread(target=self._batches.force_flush, daemon=True)
        flushing.start()
        flushing.join(None if timeout_millis is None else timeout_millis / 1000)
        return not flushing.is_alive() and self.waiting == 0

    @override
    def shutdown(self) -> None:
        """Ends at once: what still waits is counted as dropped. Flush before."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._dropped += self._waiting
            self._waiting = 0
        # First the exporter, which ends a back-off; an HTTP call under way cannot be ended, and
        # is left to its thread: a receiver that never answers must not hold a shutdown up.
        self._exporter.shutdown()
        ending = threading.Thread(target=self._batches.shutdown, daemon=True)
        ending.start()
        ending.join(CLOSE_REAL_S)

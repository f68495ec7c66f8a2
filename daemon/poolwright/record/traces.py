"""A trace for every decision: the root, its triggers and limits, and the provider's calls.

Ids derive from the decision's id, so that the spans of an action, which end later, and those that
are rebuilt from the journal belong to the same trace. A decision is a root of its own with links
to its telemetry's contexts: an unsampled producer must not erase it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from typing_extensions import override

from poolwright.model.decision import Decision, LimitEffect, Proposal
from poolwright.model.pool import ActionReport, ActionStatus, Attempt
from poolwright.settings import TraceSettings

MAX_LINKS = 128
Attributes = Mapping[str, str | float | int | bool | Sequence[str]]


class SpanSink(Protocol):
    """Where spans go without an endpoint: the journal."""

    def record_span(self, decision_id: str, body: bytes) -> None: ...


class _DerivedIds(IdGenerator):
    """Hands out the ids that were laid ready for the next span."""

    def __init__(self) -> None:
        self.trace = 1
        self.span = 1

    @override
    def generate_trace_id(self) -> int:
        return self.trace

    @override
    def generate_span_id(self) -> int:
        return self.span


class _Counting(SpanExporter):
    """Counts what the exporter behind it could not deliver."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self.exported = 0

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.exported += len(spans)
        return result

    @override
    def shutdown(self) -> None:
        self._inner.shutdown()


class _ToSink(SpanExporter):
    def __init__(self, sink: SpanSink) -> None:
        self._sink = sink

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            context = span.get_span_context()
            trace_id = "" if context is None else f"{context.trace_id:032x}"
            self._sink.record_span(trace_id, span.to_json(indent=0).encode())
        return SpanExportResult.SUCCESS


def _exporter(settings: TraceSettings, sink: SpanSink) -> SpanExporter:
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
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter as HttpExporter,
    )

    return HttpExporter(endpoint=settings.otlp_endpoint.rstrip("/") + "/v1/traces")


class Tracing:
    """A provider of its own (never the global one), always sampling."""

    def __init__(self, settings: TraceSettings, sink: SpanSink) -> None:
        self._ids = _DerivedIds()
        self._exporter = _Counting(_exporter(settings, sink))
        self._processor = BatchSpanProcessor(self._exporter)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": settings.service_name}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("poolwright")
        self._made = 0
        self.dropped = 0
        """Spans made but not delivered, as of the last flush."""

    def trace_decision(self, decision: Decision) -> None:
        """The root span, a child per trigger, and one for the limits."""
        at_ns = int(decision.at * 1e9)
        contexts = decision.inputs.contexts
        links = [
            Link(SpanContext(int(c.trace_id, 16), int(c.span_id, 16), is_remote=True))
            for c in contexts[-MAX_LINKS:]
        ]
        root = self._start(
            decision, "root", "poolwright.decision", Context(), at_ns, _decision(decision), links
        )
        context = set_span_in_context(root)
        for number, proposal in enumerate(decision.proposals):
            self._start(
                decision,
                f"trigger {number}",
                "poolwright.trigger",
                context,
                at_ns,
                _proposal(proposal),
            ).end(at_ns)
        limits = self._start(
            decision,
            "limits",
            "poolwright.limits",
            context,
            at_ns,
            {"poolwright.limits.count": len(decision.limits)},
        )
        for effect in decision.limits:
            limits.add_event("poolwright.limit", _limit(effect), at_ns)
        limits.end(at_ns)
        root.end(at_ns)

    def trace_action(
        self, decision: Decision, report: ActionReport, attempts: Sequence[Attempt]
    ) -> None:
        """`provider.scale` with its attempts, or the confirmation, when a status is reached."""
        if report.status is ActionStatus.STARTED:
            return
        parent = NonRecordingSpan(
            SpanContext(
                int(decision.id, 16),
                _span_id(decision.id, "root"),
                is_remote=False,
                trace_flags=TraceFlags(TraceFlags.SAMPLED),
            )
        )
        confirms = report.status is ActionStatus.CONFIRMED or report.cause == "not_ready_in_time"
        name = "poolwright.confirm" if confirms else "provider.scale"
        start_ns = int((attempts[0].started_at if attempts else decision.at) * 1e9)
        span = self._start(
            decision,
            f"{name} {report.status}",
            name,
            set_span_in_context(parent, Context()),
            min(start_ns, int(report.at * 1e9)),
            _action(report),
        )
        if report.status in (ActionStatus.REFUSED, ActionStatus.GIVEN_UP):
            span.set_status(Status(StatusCode.ERROR, report.cause))
        context = set_span_in_context(span)
        for number, attempt in enumerate([] if confirms else attempts):
            call = self._start(
                decision,
                f"{report.status} attempt {number}",
                "provider.attempt",
                context,
                int(attempt.started_at * 1e9),
                {"poolwright.attempt.number": number + 1}
                | ({"error.type": attempt.error} if attempt.error else {}),
            )
            if attempt.error:
                call.set_status(Status(StatusCode.ERROR, attempt.detail))
            call.end(int(attempt.ended_at * 1e9))
        span.end(int(report.at * 1e9))

    def _start(
        self,
        decision: Decision,
        what: str,
        name: str,
        context: Context,
        at_ns: int,
        attributes: Attributes,
        links: Sequence[Link] = (),
    ) -> Span:
        self._ids.trace = int(decision.id, 16)
        self._ids.span = _span_id(decision.id, what)
        self._made += 1
        return self._tracer.start_span(
            name, context=context, attributes=attributes, links=links, start_time=at_ns
        )

    def flush(self, deadline_s: float) -> bool:
        """Delivers what waits; counts what could not be delivered."""
        done = self._processor.force_flush(int(deadline_s * 1000))
        self.dropped = self._made - self._exporter.exported
        return done

    def close(self) -> None:
        self._provider.shutdown()


def _span_id(decision_id: str, what: str) -> int:
    digest = hashlib.sha256(f"{decision_id}/{what}".encode()).digest()
    return int.from_bytes(digest[:8], "big") or 1


def _decision(decision: Decision) -> Attributes:
    return {
        "poolwright.decision.id": decision.id,
        "poolwright.service": decision.service,
        "poolwright.pool": decision.pool,
        "poolwright.current": decision.current,
        "poolwright.desired": decision.desired,
        "poolwright.outcome": decision.outcome.value,
        "poolwright.reason": decision.reason.value,
        "poolwright.rules.revision": decision.rules_revision,
        "poolwright.links.count": len(decision.inputs.contexts),
    }


def _proposal(proposal: Proposal) -> Attributes:
    known: dict[str, str | float | int | bool | Sequence[str]] = {
        "poolwright.trigger.name": proposal.trigger,
        "poolwright.trigger.kind": proposal.kind,
        "poolwright.trigger.detail": proposal.detail,
        "poolwright.trigger.blind": list(proposal.blind),
        "poolwright.trigger.evidence": [f"{k}={v:g}" for k, v in proposal.evidence.items()],
    }
    if proposal.replicas is not None:
        known["poolwright.trigger.replicas"] = proposal.replicas
    return known


def _limit(effect: LimitEffect) -> Attributes:
    return {
        "poolwright.limit": effect.limit.value,
        "poolwright.limit.before": effect.before,
        "poolwright.limit.after": effect.after,
        "poolwright.limit.detail": effect.detail,
    }


def _action(report: ActionReport) -> Attributes:
    known: dict[str, str | float | int | bool | Sequence[str]] = {
        "poolwright.pool": report.pool,
        "poolwright.desired": report.desired,
        "poolwright.action.status": report.status.value,
    }
    if report.cause:
        known["error.type"] = report.cause
    if report.startup_s is not None:
        known["poolwright.startup_s"] = report.startup_s
    return known

"""A trace for every decision: the root, its triggers and limits, and the provider's calls.

Ids derive from the decision's id, so that the spans of an action, which end later, and those that
are rebuilt from the journal belong to the same trace. A decision is a root of its own with links
to its telemetry's contexts: an unsampled producer must not erase it.
"""

import hashlib
from collections.abc import Iterator, Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
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
from poolwright.record.exporting import CAPACITY, CountedExport, SpanSink, make_exporter
from poolwright.record.learned_spans import Attribute, Attributes, Child, learned_children
from poolwright.settings import TraceSettings

MAX_LINKS = 128


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


class Tracing:
    """A provider of its own (never the global one), always sampling."""

    def __init__(
        self, settings: TraceSettings, sink: SpanSink, *, capacity: int = CAPACITY
    ) -> None:
        self._ids = _DerivedIds()
        self._export = CountedExport(make_exporter(settings, sink), capacity)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": settings.service_name}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(self._export)
        self._tracer = self._provider.get_tracer("poolwright")

    @property
    def dropped(self) -> int:
        """Spans that were made and will not be delivered, at this moment."""
        return self._export.dropped

    @property
    def delivered(self) -> int:
        return self._export.delivered

    @property
    def waiting(self) -> int:
        """Spans that are not delivered yet."""
        return self._export.waiting

    def trace_decision(self, decision: Decision) -> None:
        """The root span and its children: each trigger and forecast, the allocation, the limits."""
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
        for child in _children(decision):
            span = self._start(decision, child.what, child.name, context, at_ns, child.attributes)
            for name, attributes in child.events:
                span.add_event(name, attributes, at_ns)
            span.end(at_ns)
        root.end(at_ns)

    def trace_action(
        self,
        decision: Decision,
        report: ActionReport,
        attempts: Sequence[Attempt],
        *,
        after_done: bool = False,
    ) -> None:
        """`provider.scale` with its attempts, or the confirmation, when a status is reached.

        `after_done` says that the action was done before: what ends then is the confirmation.
        """
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
        confirms = report.status is ActionStatus.CONFIRMED or after_done
        name = "poolwright.confirm" if confirms else "provider.scale"
        start_ns = int((attempts[0].started_at if attempts else decision.at) * 1e9)
        span = self._start(
            decision,
            f"{name} {report.status}",
            name,
            set_span_in_context(parent, Context()),
            min(start_ns, int(report.at * 1e9)),
            _action(report, () if confirms else decision.drain),
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
        return self._tracer.start_span(
            name, context=context, attributes=attributes, links=links, start_time=at_ns
        )

    def flush(self, deadline_s: float | None) -> bool:
        """Delivers what waits; False where some still waits at the deadline (None: no deadline)."""
        return self._export.force_flush(None if deadline_s is None else int(deadline_s * 1000))

    def close(self) -> None:
        """Ends the export; what was not flushed counts as dropped."""
        self._provider.shutdown()


def _span_id(decision_id: str, what: str) -> int:
    digest = hashlib.sha256(f"{decision_id}/{what}".encode()).digest()
    return int.from_bytes(digest[:8], "big") or 1


def _children(decision: Decision) -> Iterator[Child]:
    for number, proposal in enumerate(decision.proposals):
        yield Child(f"trigger {number}", "poolwright.trigger", _proposal(proposal))
    yield from learned_children(decision.inputs)
    events = tuple(("poolwright.limit", _limit(effect)) for effect in decision.limits)
    count: Attributes = {"poolwright.limits.count": len(decision.limits)}
    yield Child("limits", "poolwright.limits", count, events)


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
    known: dict[str, Attribute] = {
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


def _action(report: ActionReport, drain: Sequence[str]) -> Attributes:
    known: dict[str, Attribute] = {
        "poolwright.pool": report.pool,
        "poolwright.desired": report.desired,
        "poolwright.action.status": report.status.value,
    }
    if drain:
        known["poolwright.drain"] = list(drain)
    if report.cause:
        known["error.type"] = report.cause
    if report.startup_s is not None:
        known["poolwright.startup_s"] = report.startup_s
    return known

"""Decisions' traces read back through a real OTLP receiver, over gRPC and over HTTP."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console
from tests.integration.otlp_receivers import GrpcReceiver, HttpReceiver

from poolwright.model.assessment import (
    Advantage,
    Alternative,
    Assessment,
    Basis,
    Capacity,
    Comparison,
    ModelForecast,
    Share,
)
from poolwright.model.decision import (
    Decision,
    LimitEffect,
    Outcome,
    PoolInputs,
    Proposal,
    Reason,
    ReplicaLoad,
)
from poolwright.model.pool import ActionReport, ActionStatus, Attempt
from poolwright.model.rule import RuleSet
from poolwright.model.sample import TraceContext
from poolwright.model.tick import Health
from poolwright.record.journal import Journal
from poolwright.record.metrics import DaemonMetrics
from poolwright.record.recorder import Recorder
from poolwright.record.traces import Tracing
from poolwright.runtime.rebuilding import rebuild
from poolwright.settings import ClockSettings, Settings, TraceSettings

FOUND = Assessment(
    "meet-slo", "chat", 1000.0, True,
    Capacity(
        Basis.MEASURED, 0.012, 0.0004, 0.01, 0.0001, 0.03, 1240.0, 0.8, 64.0, 2.1, 3.2, 6700.0,
        1.17, drift="prefill 20 ms, was 10 ms",
    ),
    2.9, 3.0, 1.1, 1.3, 0.9, 1.4, 4.7, 0.98, 143.0, 133.0, 7, 3300.0, 0.17,
    {"naive": ModelForecast(4.9, 0.06, 0.3), "mean": ModelForecast(4.6, 0.04, 0.7)},
    lowered_by=0.2,
)  # fmt: skip
ADVANTAGE = Advantage(
    "gpu", True, "economic", "cheaper", 0.3, 0.15, 0.7, 0.6, 900.0, 600.0,
    Basis.MEASURED, Basis.DECLARED,
    (Alternative("default pools", {"h100": 9}, 36.0, 1.9, 0.0),),
    (Comparison("chat", "itl", 400, 0.002, "h100", 900, 0.02, 0.9),), 0.3,
)  # fmt: skip
DECISION = Decision(
    "0123456789abcdef0123456789abcdef",
    1000.0,
    "chat",
    "gpu",
    2,
    4,
    Outcome.SCALE_UP,
    Reason.PROPOSED,
    (Proposal("queue", "threshold", 8, {"waiting": 9.0}), Proposal("ramp", "schedule", None, {})),
    (LimitEffect(Reason.STEP, 8, 4, "at most 2"),),
    {},
    "r1",
    PoolInputs(
        1000.0, "r1", "chat", "gpu", None, (), Health(), 0.0,
        (TraceContext("chat", "a" * 32, "b" * 16),),
        (FOUND,), Share({"chat": 0.6}, 4, "cheapest mix"), ADVANTAGE,
        least_loaded=(ReplicaLoad("gpu-7", 999.0, 2.0, 0.0, 0.1),),
    ),
    b"{}",
)  # fmt: skip


@pytest.fixture(params=[GrpcReceiver, HttpReceiver], ids=["grpc", "http"])
def receiver(request):
    found = request.param()
    found.start()
    settings = TraceSettings(
        otlp_endpoint=f"http://127.0.0.1:{found.port}",
        protocol=found.protocol,
        export_timeout_s=0.5,
    )
    yield found, settings
    found.stop()


class NoSink:
    def record_spans(self, spans) -> None:
        raise AssertionError


def test_a_decision_is_one_trace_with_links_triggers_limits_and_calls(receiver) -> None:
    found, settings = receiver
    tracing = Tracing(settings, NoSink())
    tracing.trace_decision(DECISION)
    attempts = [Attempt(1000.5, 1001.0, "throttled", "429"), Attempt(1002.0, 1002.5)]
    done = ActionReport("gpu", DECISION.id, 1002.5, ActionStatus.DONE, 4)
    ready = ActionReport("gpu", DECISION.id, 1100.0, ActionStatus.CONFIRMED, 4, startup_s=97.5)
    tracing.trace_action(DECISION, done, attempts)
    tracing.trace_action(DECISION, ready, [], after_done=True)
    assert tracing.flush(10.0)
    assert tracing.dropped == 0
    tracing.close()

    spans = found.spans
    page = (Path(__file__).parents[2] / "docs" / "traces.md").read_text()
    named = {span.name for span in spans} | {a.key for span in spans for a in span.attributes}
    named |= {event.name for span in spans for event in span.events}
    named |= {a.key for span in spans for event in span.events for a in event.attributes}
    assert {name for name in named if f"`{name}`" not in page} == set()
    catalogue = set(re.findall(r"`(poolwright\.[a-z_.0-9]+)`", page))
    assert catalogue - named == set(), "nothing is documented that no span has"
    assert {span.trace_id.hex() for span in spans} == {DECISION.id}
    assert len({span.span_id for span in spans}) == len(spans)
    (root,) = [span for span in spans if not span.parent_span_id]
    assert root.name == "poolwright.decision"
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in root.links] == [
        ("a" * 32, "b" * 16)
    ]
    children = [span.name for span in spans if span.parent_span_id == root.span_id]
    assert sorted(children) == [
        "poolwright.allocation",
        "poolwright.confirm",
        "poolwright.forecast",
        "poolwright.limits",
        "poolwright.trigger",
        "poolwright.trigger",
        "provider.scale",
    ]
    (limits,) = [span for span in spans if span.name == "poolwright.limits"]
    assert len(limits.events) == 1
    (scale,) = [span for span in spans if span.name == "provider.scale"]
    calls = [span for span in spans if span.parent_span_id == scale.span_id]
    errors = [
        attribute.value.string_value
        for call in calls
        for attribute in call.attributes
        if attribute.key == "error.type"
    ]
    assert (len(calls), errors) == (2, ["throttled"])


def test_without_an_endpoint_spans_go_to_the_journal() -> None:
    class Sink:
        def __init__(self) -> None:
            self.ids: list[str] = []

        def record_spans(self, spans) -> None:
            self.ids += [decision_id for decision_id, _ in spans]

    sink = Sink()
    tracing = Tracing(TraceSettings(), sink)
    tracing.trace_decision(DECISION)
    assert tracing.flush(5.0)
    assert sink.ids == [DECISION.id] * 6
    tracing.close()


SPANS_OF_ONE = sorted(
    [
        "poolwright.decision",
        "poolwright.trigger",
        "poolwright.trigger",
        "poolwright.forecast",
        "poolwright.allocation",
        "poolwright.limits",
        "provider.scale",
        "provider.attempt",
        "poolwright.confirm",
    ]
)
ACTION = (
    ActionReport("gpu", "", 1000.1, ActionStatus.STARTED, 4),
    ActionReport("gpu", "", 1002.5, ActionStatus.DONE, 4),
    ActionReport("gpu", "", 1100.0, ActionStatus.CONFIRMED, 4, startup_s=97.5),
)


def make_and_trace(number: int, journal: Journal, tracing: Tracing) -> None:
    """One decision with its whole action, recorded and traced as the daemon does it."""
    decision = replace(DECISION, id=f"{number:032x}", at=1000.0 + number)
    journal.record_tick(decision.at, [decision], RuleSet("r1", ()))
    tracing.trace_decision(decision)
    for status in ACTION:
        report = replace(status, decision_id=decision.id)
        attempts = () if report.status is ActionStatus.STARTED else (Attempt(1000.5, 1001.0),)
        journal.record_action(report, attempts)
        after_done = report.status is ActionStatus.CONFIRMED
        tracing.trace_action(decision, report, attempts, after_done=after_done)


def test_spans_lost_while_the_receiver_is_down_are_counted_and_rebuilt(receiver, tmp_path) -> None:
    found, traces = receiver
    settings = Settings(
        data=tmp_path, tracing=traces, clock=ClockSettings(speed=2.0, origin_event_s=0.0)
    )
    settings.clock.origin_wall_s = time.time() - 1000.0  # Event time is about 2000 s.
    journal = Journal(tmp_path / "journal.db")
    tracing = Tracing(traces, journal)
    metrics = DaemonMetrics(CollectorRegistry())
    metrics.recording(Recorder(), tracing)

    def shown() -> str:
        page = generate_latest(metrics.registry).decode()
        return next(x for x in page.splitlines() if x.startswith("poolwright_spans_dropped_total"))

    for number in range(1, 4):
        make_and_trace(number, journal, tracing)
    assert tracing.flush(10.0)
    assert shown().endswith(" 0.0")
    found.stop()
    for number in range(4, 7):
        make_and_trace(number, journal, tracing)
    tracing.flush(10.0)
    lost = 3 * len(SPANS_OF_ONE)
    assert (tracing.dropped, tracing.waiting) == (lost, 0)
    assert shown().endswith(f" {lost}.0")
    answers = Console(record=True, width=200)
    assert rebuild(settings, "24h", None, answers, answers) == 3
    assert "did not take all of them" in answers.export_text()
    found.start()
    make_and_trace(7, journal, tracing)
    tracing.close()
    journal.close()
    assert len({span.trace_id for span in found.spans}) < 7

    assert rebuild(settings, "24h", None, answers, answers) == 0
    assert "63 spans of 7 decisions sent" in answers.export_text()
    spans = {(span.trace_id, span.span_id): span for span in found.spans}
    for span in found.spans:
        assert span == spans[span.trace_id, span.span_id]
    for number in range(1, 8):
        names = [s.name for (trace, _), s in spans.items() if int.from_bytes(trace) == number]
        assert sorted(names) == SPANS_OF_ONE
    assert len(spans) == 7 * len(SPANS_OF_ONE)

    before = len(found.spans)
    assert rebuild(settings, "24h", f"{5:032x}", answers, answers) == 0
    assert len(found.spans) - before == len(SPANS_OF_ONE)
    assert rebuild(settings, "24h", "ffffffff", answers, answers) == 1


def test_more_spans_than_may_wait_are_counted_at_once() -> None:
    tracing = Tracing(TraceSettings(otlp_endpoint="http://127.0.0.1:1"), NoSink(), capacity=9)
    tracing.trace_decision(DECISION)
    assert tracing.dropped == 0
    tracing.trace_decision(replace(DECISION, id="1" * 32))
    assert tracing.waiting + tracing.dropped == 12
    assert tracing.dropped >= 3
    tracing.close()
    assert (tracing.waiting, tracing.dropped) == (0, 12)

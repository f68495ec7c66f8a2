"""Decisions' traces read back through a real OTLP receiver, over gRPC and over HTTP."""

import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from poolwright.model.decision import (
    Decision,
    LimitEffect,
    Outcome,
    PoolInputs,
    Proposal,
    Reason,
)
from poolwright.model.pool import ActionReport, ActionStatus, Attempt
from poolwright.model.sample import TraceContext
from poolwright.model.tick import Health
from poolwright.record.traces import Tracing
from poolwright.settings import TraceSettings

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
    ),
    b"{}",
)  # fmt: skip


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.spans = []

    def take(self, request) -> None:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def Export(self, request, context):  # noqa: N802
        self.take(request)
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture(params=["grpc", "http/protobuf"])
def receiver(request):
    found = Receiver()
    if request.param == "grpc":
        server = grpc.server(ThreadPoolExecutor(1))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(found, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield found, TraceSettings(otlp_endpoint=f"http://127.0.0.1:{port}", protocol="grpc")
        server.stop(0).wait()
        return

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            found.take(trace_service_pb2.ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield found, TraceSettings(otlp_endpoint=url, protocol="http/protobuf")
    server.shutdown()
    thread.join()
    server.server_close()


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
    named |= {a.key for span in spans for event in span.events for a in event.attributes}
    assert {name for name in named if f"`{name}`" not in page} == set()
    assert {span.trace_id.hex() for span in spans} == {DECISION.id}
    assert len({span.span_id for span in spans}) == len(spans)
    (root,) = [span for span in spans if not span.parent_span_id]
    assert root.name == "poolwright.decision"
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in root.links] == [
        ("a" * 32, "b" * 16)
    ]
    children = [span.name for span in spans if span.parent_span_id == root.span_id]
    assert sorted(children) == [
        "poolwright.confirm",
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
    assert sink.ids == [DECISION.id] * 4
    tracing.close()

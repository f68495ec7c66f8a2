"""What was learned, for machines: in spans, in gauges and in the daemon's status."""

import json
from dataclasses import replace
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from tests.unit.learned_bench import ADVANTAGE, FOUND, decided

from poolwright.controller import Controller
from poolwright.model.assessment import Comparison, Share
from poolwright.model.decision import Decision
from poolwright.record.absence import Absent
from poolwright.record.metrics import DaemonMetrics
from poolwright.record.recorder import Recorder
from poolwright.record.traces import Tracing
from poolwright.rulefiles import load_sources
from poolwright.runtime.status import pools_body
from poolwright.settings import TraceSettings

ROOT = Path(__file__).parents[2]


def test_gauges_show_what_is_known_and_nothing_else() -> None:
    metrics = DaemonMetrics(CollectorRegistry())
    metrics.decided(decided(FOUND, advantage=ADVANTAGE))

    def gauges() -> dict[str, str]:
        page = generate_latest(metrics.registry).decode().splitlines()
        return dict(
            line.rsplit(" ", 1)
            for line in page
            if 'pool="gpu"' in line and "_decisions_" not in line and "_outside" not in line
        )

    assert gauges() == {
        'poolwright_needed_replicas{pool="gpu",trigger="meet-slo",when="now"}': "1.1",
        'poolwright_needed_replicas{pool="gpu",trigger="meet-slo",when="forecast"}': "4.7",
        'poolwright_carried_requests_per_second{pool="gpu",trigger="meet-slo"}': "3.2",
        'poolwright_need_correction_ratio{pool="gpu"}': "1.17",
        'poolwright_startup_p95_seconds{pool="gpu"}': "133.0",
        'poolwright_advantage_granted{pool="gpu"}': "0.0",
    }
    metrics.decided(decided(replace(FOUND, upper=None)))
    assert len(gauges()) == 4, "no forecast and no advantage any more"
    metrics.decided(decided())
    assert gauges() == {}


def test_every_metric_is_documented() -> None:
    metrics = DaemonMetrics(CollectorRegistry())

    class Spans:
        dropped = 0

    recorder = Recorder()
    metrics.recording(recorder, Spans())
    recorder.close()
    page = (ROOT / "docs" / "traces.md").read_text()
    names = [
        family.name + ("_total" if family.type == "counter" else "")
        for family in metrics.registry.collect()
    ]
    assert len(names) > 15
    assert [name for name in names if f"`{name}`" not in page] == []


def test_a_forecast_and_the_allocation_have_spans_of_their_own() -> None:
    class Sink:
        def __init__(self) -> None:
            self.spans: list[dict] = []

        def record_spans(self, spans) -> None:
            self.spans += [json.loads(body) for _, body in spans]

    def traced(decision: Decision) -> list[dict]:
        sink = Sink()
        tracing = Tracing(TraceSettings(), sink)
        tracing.trace_decision(decision)
        assert tracing.flush(5.0)
        tracing.close()
        return sink.spans

    decision = decided(FOUND, share=Share({"chat": 0.4}, 1, "mix"), advantage=ADVANTAGE)
    spans = traced(decision)
    assert [s["context"]["span_id"] for s in spans] == [
        s["context"]["span_id"] for s in traced(decision)
    ]
    by_name = {span["name"]: span for span in spans}
    forecast, allocation = by_name["poolwright.forecast"], by_name["poolwright.allocation"]
    root = by_name["poolwright.decision"]["context"]["span_id"]
    assert {forecast["parent_id"], allocation["parent_id"]} == {root}
    figures = forecast["attributes"]
    assert figures["poolwright.forecast.upper_replicas"] == 4.7
    assert figures["poolwright.capacity.itl_base_s"] == 0.0121
    assert "poolwright.capacity.drift" not in figures
    assert [e["attributes"]["poolwright.model.weight"] for e in forecast["events"]] == [
        0.004, 0.69, 0.306,
    ]  # fmt: skip
    plan = allocation["attributes"]
    assert (plan["poolwright.allocation.shares"], plan["poolwright.allocation.count"]) == ([0.4], 1)
    assert plan["poolwright.advantage.required_margin"] == 0.15
    with_it = allocation["events"][1]["attributes"]
    assert with_it["poolwright.alternative.replicas"] == [1, 1]
    assert "poolwright.alternative.usd_per_million_tokens" not in with_it
    compared = Comparison("chat", "itl", 40, None, "gpu", 900, 0.0183, None)
    quicker = replace(ADVANTAGE, comparisons=(compared,), required_p95_margin=0.3)
    (allocation,) = [
        span
        for span in traced(decided(advantage=quicker))
        if span["name"] == "poolwright.allocation"
    ]
    assert allocation["attributes"]["poolwright.advantage.required_p95_margin"] == 0.3
    assert allocation["events"][2]["attributes"] == {
        "poolwright.comparison.class": "chat",
        "poolwright.comparison.time": "itl",
        "poolwright.comparison.requests": 40,
        "poolwright.comparison.default_pool": "gpu",
        "poolwright.comparison.default_requests": 900,
        "poolwright.comparison.default_p95_s": 0.0183,
    }
    plain = {span["name"] for span in traced(decided())}
    assert plain == {"poolwright.decision", "poolwright.trigger", "poolwright.limits"}


RULES = """
apiVersion: poolwright/v1
service: chat
classes:
  chat: {ttft: 2s, itl: 60ms, attainment: 99%}
pools:
  - {name: gpu, role: default, provider: {simulated: {}}, replicas: {min: 1, max: 9}}
  - {name: tpu, role: default, provider: {simulated: {}}, replicas: {min: 0, max: 9}}
triggers:
  - {name: meet-slo, slo: chat}
"""


class Owner:
    def __init__(self, owns: bool) -> None:
        self._owns = owns

    def owns(self, service: str) -> bool:
        return self._owns


def test_status_tells_what_the_core_learned() -> None:
    controller = Controller(load_sources({"chat.yaml": RULES}))
    for second in range(20):
        at = 1_700_000_000.0 + second
        controller.ingest([{"type": "arrival", "at": at, "service": "chat", "class": "chat"}] * 3)
        for pool in ("gpu", "tpu"):
            controller.report(pool, at=at, ready=1)
        controller.decide(at)
    rules, state = controller.rules, controller._state
    gpu, _ = pools_body(rules, state, Owner(True), Absent(), at, {})
    (found,) = gpu["learned"]
    assert (found["trigger"], found["basis"], found["upper_replicas"]) == (
        "meet-slo",
        "prior",
        None,
    )
    assert found["need_replicas"] > 0.1
    assert (
        sum(
            pool["share"]["chat"]
            for pool in pools_body(rules, state, Owner(True), Absent(), at, {})
        )
        == 1.0
    )
    assert gpu["advantage_granted"] is None
    other, _ = pools_body(rules, state, Owner(False), Absent(), at, {})
    assert (other["learned"], other["share"]) == ([], None)
    state.learners.clear()
    assert pools_body(rules, state, Owner(True), Absent(), at, {})[0]["learned"] == []

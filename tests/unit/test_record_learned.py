"""What was learned, in words, in spans, in gauges and in the daemon's status."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console

from poolwright.controller import Controller
from poolwright.model.assessment import (
    Advantage,
    Alternative,
    Assessment,
    Basis,
    Capacity,
    ModelForecast,
    Share,
)
from poolwright.model.decision import Decision, Outcome, PoolInputs, Proposal, Reason
from poolwright.model.pool import PoolReport
from poolwright.model.tick import Health
from poolwright.record.advantage_view import advantage_rows, alternatives_table
from poolwright.record.explain import explain
from poolwright.record.explain_pool import explain_pool
from poolwright.record.learned import learned_rows, learned_why, shares
from poolwright.record.metrics import DaemonMetrics
from poolwright.record.pool_story import Origin, PoolStory
from poolwright.record.recorder import Recorder
from poolwright.record.traces import Tracing
from poolwright.record.wording import exact_duration, percent, replicas, rounded
from poolwright.rulefiles import load_sources
from poolwright.runtime.status import pools_body
from poolwright.settings import TraceSettings

ROOT = Path(__file__).parents[2]
CAPACITY = Capacity(
    Basis.MEASURED, 0.0121, 0.00042, 0.010, 0.00008, 0.031, 1240.0, 0.8, 64.0, 2.1, 3.2, 6702.0,
    1.17,
)  # fmt: skip
MODELS = {
    "naive": ModelForecast(4.9, 0.06, 0.004),
    "slow_level": ModelForecast(4.6, 0.044, 0.69),
    "mean": ModelForecast(4.7, 0.046, 0.306),
}
FOUND = Assessment(
    "meet-slo", "chat", 1000.0, True, CAPACITY, 2.9, 0.0, 1.1, 1.3, 0.9, 1.4, 4.7, 0.98,
    143.0, 133.0, 7, 3300.0, 0.17, MODELS,
)  # fmt: skip
ASKED = Proposal("meet-slo", "slo", 5, {"need": 1.1})
ADVANTAGE = Advantage(
    "wse", False, "economic", "why", 0.69, 0.15, 0.62, 0.6, 40.0, 600.0, Basis.DECLARED,
    Basis.MEASURED,
    (
        Alternative("default pools", {"gpu": 9}, 36.0, 1.93, 0.0),
        Alternative("with wse", {"gpu": 1, "wse": 1}, 14.0, None, 0.0),
    ),
)  # fmt: skip


def decided(*found: Assessment, proposals: tuple[Proposal, ...] = (ASKED,), **inputs) -> Decision:
    report = PoolReport("gpu", 1000.0, 5, 5)
    seen = PoolInputs(
        1000.0, "r1", "chat", "gpu", report, (), Health(), assessments=found, **inputs
    )
    return Decision(
        "1" * 32, 1000.0, "chat", "gpu", 5, 5, Outcome.HOLD, Reason.STEADY, proposals, (), {},
        "r1", seen, b"{}",
    )  # fmt: skip


def why(
    found: Assessment, *, past: bool = False, share: Share | None = None, **changes
) -> str | None:
    return learned_why(replace(ASKED, **changes), decided(found, share=share).inputs, past=past)


AHEAD = "4.7 replicas will be needed in 2 min 23 s (98% quantile)"


def test_an_slo_is_asked_for_in_one_sentence() -> None:
    assert why(FOUND) == f"{AHEAD}, 1.1 are needed now"
    assert why(FOUND, past=True) == (
        "4.7 replicas would be needed in 2 min 23 s (98% quantile), 1.1 were needed then"
    )


def test_a_queue_is_named_with_what_it_adds() -> None:
    found = replace(FOUND, waiting=30.0)
    assert why(found, evidence={"backlog": 0.4}, replicas=6) == (
        f"{AHEAD}, 1.1 are needed now, 0.40 more for the 30 that wait"
    )


def test_small_steps_below_what_was_tried_are_named() -> None:
    found = replace(FOUND, capacity=replace(CAPACITY, tested=0.4))
    assert why(found, replicas=9) == (
        f"{AHEAD}, 1.1 are needed now; fewer only step by step, as no load above 40% was tried yet"
    )


def test_before_a_forecast_the_level_is_told() -> None:
    assert why(replace(FOUND, upper=None, history_s=55.0)) == (
        "1.3 replicas are needed on average over the last 2 min; 55 s of history are too little"
        " for a forecast, and until then it asks for no fewer"
    )


def test_before_anything_is_learned_the_triggers_own_words_stand() -> None:
    still = replace(FOUND, learned=False)
    assert why(still, detail="still learning (12 requests ended)") == (
        "still learning (12 requests ended)"
    )
    assert learned_why(ASKED, decided().inputs) is None
    assert why(FOUND, kind="threshold") is None


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ({"chat": 0.6, "batch": 0.0}, "60% of chat"),
        ({"chat": 1.0, "batch": 0.25}, "all of chat, 25% of batch"),
        ({"chat": 0.0}, "no load"),
    ],
)
def test_an_accelerators_count_is_the_plans(classes, words) -> None:
    assert shares(classes) == words
    assert (
        why(FOUND, share=Share(classes, 1)) == f"the cheapest plan over the pools gives it {words}"
    )


def test_a_forecast_tells_whether_it_is_trusted() -> None:
    evidence = {"asked": 5.0}
    assert why(FOUND, kind="forecast", evidence=evidence) == (
        f"{AHEAD}; the best model's loss is 17% below the naive one's"
    )
    worse = replace(FOUND, skill=-0.02)
    assert why(worse, kind="forecast", evidence=evidence, replicas=None) == (
        f"{AHEAD}; the best model's loss is 2.0% above the naive one's."
        " That would be 5, but it is advice only until it does better"
    )
    assert why(replace(FOUND, skill=0.0), kind="forecast", evidence=evidence) == (
        f"{AHEAD}; no model does better than the naive one"
    )
    assert why(FOUND, kind="forecast", evidence={}) is None


def test_what_was_learned_of_a_pool() -> None:
    assert list(learned_rows(decided(FOUND))) == [
        (
            "carries",
            (
                "3.2 requests/s, 6,700 tokens/s a replica at the SLO of chat"
                " (measured from 1,240 requests, 3% error)"
            ),
        ),
        (
            "speed",
            "12.1 ms + 0.42 ms a request between tokens, 10 ms + 0.08 ms a token for prefill",
        ),
        (
            "corrected",
            (
                "17% more than modelled, because requests missed their SLO although the model"
                " thought they would not"
            ),
        ),
        ("start-up", "2 min 13 s at the 95th percentile, from 7 measured"),
        ("demand", "2.9 requests/s, none waiting"),
        ("needs", "1.3 replicas on average over the last 2 min, 0.90 over 15 min"),
        (
            "forecast",
            (
                "meet-slo: mean of 3 min 69%, mean of 15 min 31%;"
                " the best model's loss is 17% below the naive one's"
            ),
        ),
    ]
    assert not list(learned_rows(decided()))


def row(name: str, *found: Assessment, **inputs) -> list[str]:
    return [text for key, text in learned_rows(decided(*found, **inputs)) if key == name]


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1.0, "by nothing: requests meet their SLO where the model says so"),
        (1.1, "10% more than modelled, as at first: no outcome has changed that yet"),
        (1.07, "7% more than modelled; 10% at first, and few requests have missed their SLO since"),
    ],
)
def test_corrections_have_their_reasons(factor: float, words: str) -> None:
    found = replace(FOUND, capacity=replace(CAPACITY, correction=factor))
    assert row("corrected", found) == [words]


def test_what_is_not_measured_is_called_so() -> None:
    guess = replace(CAPACITY, basis=Basis.PRIOR, requests=12.0, meets=False, drift="prefill 9 ms")
    found = replace(
        FOUND, capacity=guess, startups=0, startup_s=180.0, waiting=None, models={}, history_s=90.0
    )
    assert row("carries", found)[0].endswith(
        "at the SLO of chat (a cautious guess until 60 requests ended, 12 so far)"
    )
    assert row("SLO", found) == [
        "no load of this pool meets that of chat: the counts are best effort"
    ]
    assert row("changed", found) == ["prefill 9 ms"]
    assert row("start-up", found) == ["3 min, declared; none was measured yet"]
    assert row("start-up", replace(found, startups=2)) == [
        "3 min at the 95th percentile, from 2 measured and the declared one"
    ]
    assert row("demand", found) == ["2.9 requests/s, no replica says how many wait"]
    assert row("demand", replace(found, waiting=12.0)) == ["2.9 requests/s, 12 waiting"]
    assert row("needs", found)[0].endswith("0.90 over 90 s")
    assert not row("forecast", found)


def test_each_class_is_told_and_triggers_that_agree_are_told_once() -> None:
    batch = replace(FOUND, trigger="meet-batch", request_class="batch")
    ahead = replace(FOUND, trigger="ahead", quantile=0.95)
    proposals = (ASKED, replace(ASKED, trigger="ahead", kind="forecast"))
    inputs = {"share": Share({"chat": 1.0}, None, "cheapest mix 4 gpu"), "proposals": proposals}
    rows = list(learned_rows(decided(FOUND, batch, ahead, **inputs)))
    assert rows[0] == ("share", "all of chat (cheapest mix 4 gpu)")
    assert ["at the SLO of chat" in text for name, text in rows if name == "carries"] == [
        True,
        False,
    ]
    assert [text.rpartition(" for ")[2] for name, text in rows if name == "needs"] == [
        "chat",
        "batch",
    ]
    assert [text for name, text in rows if name == "forecast"] == [
        "meet-slo, meet-batch, ahead: mean of 3 min 69%, mean of 15 min 31%"
    ]
    names = [name for name, _ in learned_rows(decided(FOUND, share=Share({"chat": 0.0}, 0, "x")))]
    assert names == ["share", "carries", "speed", "corrected", "start-up"]


def told(**changes) -> dict[str, str]:
    return dict(advantage_rows(replace(ADVANTAGE, **changes)))


def test_an_advantage_is_told_against_what_it_must_be() -> None:
    assert told() == {
        "verdict": "not granted yet: economic, but not for long enough",
        "margin": "69% of the cost that it avoids, 15% required",
        "utilisation": "62% over the last quarter of an hour, 60% required",
        "held": "for 40 s, 10 min required",
        "figures": (
            "wse declared in the rule file, default pools measured;"
            " needs and costs at the forecast demand"
        ),
    }
    granted = told(granted=True, held_s=1500.0)
    assert granted["verdict"] == "granted, economic"
    assert granted["margin"].endswith("15% required, any keeps it")
    assert granted["utilisation"].endswith("60% required, four fifths of that keep it")
    assert granted["held"] == "for 25 min, 10 min required"


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"margin": 0.1}, "not granted: it saves too little"),
        ({"margin": -5.67}, "not granted: it would cost more than it saves"),
        ({"margin": None}, "not granted: it would take no replica of the default pools over"),
        ({"required": None}, "not granted: the rules name no economic margin"),
        ({"utilisation": 0.1}, "not granted: it would be idle too much"),
        ({"granted": True, "utilisation": None}, "still granted, but it would be idle too much"),
    ],
)
def test_what_an_advantage_lacks(changes, verdict) -> None:
    rows = told(**({"kind": ""} | changes))
    assert rows["verdict"] == verdict
    assert ("margin" in rows) == (
        None not in (changes.get("margin", 0), changes.get("required", 0))
    )
    if changes.get("granted"):
        assert rows["held"] == "lost for 40 s, it ends after 10 min"
        assert rows["utilisation"].startswith("unknown over")
    else:
        assert "held" not in rows


def test_a_performance_advantage_names_the_class() -> None:
    rows = told(kind="performance", granted=True, why="the default pools cannot meet chat")
    assert (rows["verdict"], rows["because"]) == (
        "granted, performance",
        "the default pools cannot meet chat",
    )
    assert "margin" not in rows


def shown(what: object, width: int) -> list[str]:
    out = Console(record=True, width=width, file=StringIO())
    out.print(what)
    return [line.rstrip() for line in out.export_text().splitlines()]


def test_both_alternatives_stand_side_by_side() -> None:
    assert shown(alternatives_table(ADVANTAGE), 80) == [
        "alternative    replicas      USD/h  USD/1M tokens",
        "default pools  9 gpu            36           1.93",
        "with wse       1 gpu, 1 wse     14              ?",
    ]
    one = replace(ADVANTAGE.alternatives[0], replicas={}, unserved=0.25)
    short = shown(alternatives_table(replace(ADVANTAGE, alternatives=(one,))), 80)
    assert short[0].endswith("unserved")
    assert short[1].split()[2:] == ["none", "36", "1.93", "25%"]


@pytest.mark.parametrize("width", [80, 120])
def test_both_pages_have_it_and_no_raw_numbers(width: int) -> None:
    blind = replace(ASKED, blind=("demand",))
    decision = decided(FOUND, proposals=(blind,), advantage=ADVANTAGE)
    story = PoolStory("gpu", 5, decision, 900.0, Origin.BEFORE_JOURNAL, 900.0)
    for page in (explain(decision, (), 1000.0), explain_pool(story, 1000.0)):
        lines = shown(page, width)
        assert max(len(line) for line in lines) <= width
        text = " ".join(" ".join(lines).replace("│", " ").split())
        for part in (
            f"asks for 5: {AHEAD}, 1.1 are needed now; lacks demand",
            "start-up",
            "from 7 measured",
            "not granted yet: economic",
            "1 gpu, 1 wse 14 ?",
        ):
            assert part in text
        assert "need 1.1" not in text


def test_gauges_show_what_is_known_and_nothing_else() -> None:
    metrics = DaemonMetrics(CollectorRegistry())
    metrics.decided(decided(FOUND, advantage=ADVANTAGE))

    def gauges() -> dict[str, str]:
        page = generate_latest(metrics.registry).decode().splitlines()
        return dict(
            line.rsplit(" ", 1)
            for line in page
            if 'pool="gpu"' in line and "_decisions_" not in line
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
    gpu, _ = pools_body(rules, state, Owner(True))
    (found,) = gpu["learned"]
    assert (found["trigger"], found["basis"], found["upper_replicas"]) == (
        "meet-slo",
        "prior",
        None,
    )
    assert found["need_replicas"] > 0.1
    assert sum(pool["share"]["chat"] for pool in pools_body(rules, state, Owner(True))) == 1.0
    assert gpu["advantage_granted"] is None
    other, _ = pools_body(rules, state, Owner(False))
    assert (other["learned"], other["share"]) == ([], None)
    state.learners.clear()
    assert pools_body(rules, state, Owner(True))[0]["learned"] == []


def test_the_figures_words() -> None:
    assert [exact_duration(s) for s in (45.0, 143.0, 120.0, 4000.0)] == [
        "45 s", "2 min 23 s", "2 min", "67 min",
    ]  # fmt: skip
    assert [rounded(x) for x in (0.0, 0.0818, 3.634, 222.5, 7714.3, 155_741.0)] == [
        "0", "0.0818", "3.63", "222", "7,710", "156,000",
    ]  # fmt: skip
    assert [percent(x) for x in (0.0, 0.017, 0.031, 0.982, 0.995, 1.0, -5.667)] == [
        "0%", "1.7%", "3%", "98%", "99.5%", "100%", "−567%",
    ]  # fmt: skip
    assert [replicas(x) for x in (0.004, 0.59, 4.71, 99.0, 1234.0)] == [
        "0", "0.59", "4.7", "99.0", "1,234",
    ]  # fmt: skip

"""`explain POOL` says where a count comes from, and says so in words."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from poolwright.controller import Controller
from poolwright.decision import decide_again
from poolwright.model.decision import Decision, LimitEffect, Outcome, PoolInputs, Proposal, Reason
from poolwright.model.pool import ActionReport, ActionStatus, Attempt, PoolReport
from poolwright.model.rule import Amount, SignalRule
from poolwright.model.signal import Signal, SignalStatus, Unhealthy
from poolwright.model.tick import Health
from poolwright.record.journal import Journal
from poolwright.record.pool_story import Origin, PoolStory, pool_story
from poolwright.record.wording import (
    ago,
    amount,
    brief_duration,
    duration,
    quantity,
    signal_line,
    when,
)
from poolwright.rulefiles import load, load_sources
from poolwright.runtime.explaining import explain_from

ROOT = Path(__file__).parents[2]
RULES = load(ROOT / "rules" / "coding-assistant.yaml")
NOW = 1_700_000_600.0
WAITING = Signal("waiting", SignalStatus.FRESH, 83.0, 4.0, 12, 5, 5)
SLOW = Signal("slow", SignalStatus.FRESH, 3.109, 4.0, 491, 0, 5)
UP = Proposal(
    "queue-pressure", "threshold", 9, {"waiting": 83.0, "ready": 5.0}, detail="`waiting` is true"
)
STEADY = Proposal("concurrency", "target", 7, {}, detail="running 268 at 40 a replica is 6.70")


def decision(
    before_s: float,
    current: int,
    desired: int | None = None,
    reason: Reason = Reason.STEADY,
    outcome: Outcome = Outcome.HOLD,
) -> Decision:
    """One of `code-h100`, `before_s` ago; where `desired` is given, it scales."""
    at = NOW - before_s
    if desired is not None:
        outcome = Outcome.SCALE_UP if desired > current else Outcome.SCALE_DOWN
        reason = Reason.PROPOSED
    report = None if reason is Reason.UNKNOWN_POOL else PoolReport("code-h100", at, 7, 7)
    return Decision(
        f"{int(before_s):032x}",
        at,
        "coding-assistant",
        "code-h100",
        current,
        current if desired is None else desired,
        outcome,
        reason,
        (STEADY,) if desired is None else (UP, STEADY),
        () if desired is None else (LimitEffect(Reason.STEP, 9, desired, "at most 2 per 15 s"),),
        {},
        RULES.revision,
        PoolInputs(
            at, RULES.revision, "coding-assistant", "code-h100", report, (WAITING, SLOW), Health()
        ),
        b"{}",
    )


def act(journal: Journal, of: Decision, *statuses: ActionStatus, cause: str = "") -> None:
    for seconds, status in enumerate(statuses, 1):
        last = status is statuses[-1]
        journal.record_action(
            ActionReport(
                of.pool,
                of.id,
                of.at + seconds,
                status,
                of.desired,
                cause if last else "",
                112.0 if status is ActionStatus.CONFIRMED else None,
            ),
            [Attempt(of.at, of.at + 1.0)],
        )


DONE = (ActionStatus.STARTED, ActionStatus.DONE, ActionStatus.CONFIRMED)
REFUSED = (ActionStatus.STARTED, ActionStatus.REFUSED)


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


def tell(journal: Journal, *decisions: Decision) -> None:
    for one in decisions:
        journal.record_tick(one.at, [one], RULES)


def story_of(journal: Journal) -> PoolStory:
    story = pool_story(journal, "code-h100")
    assert story is not None
    return story


def page(journal: Journal, which: str = "code-h100", width: int = 80) -> str:
    out = Console(record=True, width=width, file=StringIO())
    assert explain_from(journal.path, which, out, NOW, as_json=False)
    return " ".join(out.export_text().split())


def test_the_change_that_led_to_the_count_is_found_behind_the_heartbeats(journal) -> None:
    up = decision(400, 5, 7)
    tell(journal, decision(430, 5), up)
    act(journal, up, *DONE)
    tell(journal, *(decision(before, 7) for before in range(370, 0, -30)))
    story = story_of(journal)
    assert (story.origin, story.count, story.change) == (Origin.DECIDED, 7, up)
    assert (story.since, story.held_since) == (NOW - 400, NOW - 370)
    text = page(journal)
    assert text.startswith("code-h100 has 7 replicas: 7 ready, 0 starting")
    for part in (
        "(7 min ago): from 5 to 7",
        "queue-pressure asked for 9: `waiting` is true (waiting 83 requests, ready 5 replicas)",
        "step: 9 became 7; at most 2 per 15 s",
        "took the order after 2.0 s; all 7 replicas were ready 112 s later (start-up measured)",
        f"poolwright explain {up.id[:12]}",
        "the triggers ask for the count that is there (steady), for 6 min now",
        (
            "running 268 at 40 a replica is 6.70. It asks for more than 7 above 308 requests, for"
            " fewer at 216 requests or below"
        ),
        "bounds 2 to 24 replicas",
        "going down at most 1 in 60 s, once it was wanted for 5 min without a break",
        "slow 3.109 s (ttft of completion: p95 over 60 s; from 491 ended requests, newest 4 s old)",
        (
            "waiting 83 requests (requests_waiting: mean over 30 s, sum of the replicas; 5 of 5"
            " replicas report, newest 4 s old)"
        ),
    ):
        assert part in text
    assert "0 of 5 replicas" not in text
    assert "daemon running" not in text


def test_a_count_that_nobody_here_set_is_called_so(journal) -> None:
    up = decision(400, 5, 7)
    tell(journal, up)
    act(journal, up, *DONE)
    tell(journal, decision(370, 7), decision(340, 9), decision(310, 9))
    story = story_of(journal)
    assert (story.origin, story.count, story.since) == (Origin.OUTSIDE, 9, NOW - 340)
    text = page(journal)
    assert "no decision of Poolwright set it" in text
    assert "saw 7: somebody or something else changed the count" in text
    assert "Nothing was recorded for 5 min: is the daemon running?" in text


def test_a_refused_change_is_no_reason_for_the_count(journal) -> None:
    first, refused = decision(400, 5, 7), decision(100, 7, 9)
    tell(journal, first)
    act(journal, first, *DONE)
    tell(journal, decision(370, 7), refused)
    act(journal, refused, *REFUSED, cause="no_capacity")
    assert story_of(journal).count == 7, "the refusal is the newest that is known"
    tell(journal, decision(70, 7, reason=Reason.STOCK, outcome=Outcome.BLOCKED))
    story = story_of(journal)
    assert (story.origin, story.count, story.change) == (Origin.DECIDED, 7, first)
    assert story.failed == refused
    assert "9 replicas: not carried out: the provider had no capacity (no_capacity)" in page(
        journal
    )


def test_an_unknown_pool_tells_nothing_of_its_count(journal) -> None:
    up = decision(400, 5, 7)
    tell(journal, up)
    act(journal, up, ActionStatus.STARTED, ActionStatus.DONE)
    blind = decision(100, 0, reason=Reason.UNKNOWN_POOL, outcome=Outcome.BLOCKED)
    tell(journal, blind, decision(70, 7))
    assert story_of(journal).change == up
    tell(journal, replace(blind, id="f" * 32, at=NOW - 10, current=7, desired=7))
    assert "is unknown: the provider has not reported lately; last known 7" in page(journal)


def test_a_count_as_old_as_the_journal(journal) -> None:
    assert pool_story(journal, "code-h100") is None
    tell(journal, decision(60, 7), decision(30, 7))
    assert story_of(journal).origin is Origin.BEFORE_JOURNAL
    assert "ever since the journal begins" in page(journal)


def test_a_change_under_way(journal) -> None:
    up = decision(20, 5, 7)
    tell(journal, decision(50, 5), up)
    assert story_of(journal).count == 7
    text = page(journal)
    assert "under way code-h100: scaled up from 5 to 7 replicas, decided 20 s ago" in text
    assert "no call is recorded yet" in text


def test_one_decision_is_a_tree_with_each_call_once(journal) -> None:
    up = decision(400, 5, 7)
    bracket = replace(UP, detail="`[kv][0] > 1` is true")
    up = replace(up, proposals=(bracket,))
    tell(journal, up)
    act(journal, up, *DONE)
    text = page(journal, up.id[:12], 120)
    assert "`[kv][0] > 1` is true" in text, "brackets are no markup"
    assert text.count("call 1: answered") == 1
    assert "call 2" not in text
    assert "confirmed after 3.0 s, replicas ready after 112 s" in text
    assert "replicas report" in text
    assert page(journal, "last", 120) == text


def test_why_ordered_replicas_do_not_come_is_in_the_providers_words(journal) -> None:
    up = decision(60, 7)
    report = replace(up.inputs.report, ready=5, starting=2, short="no H100 in zone b [429]")
    tell(journal, replace(up, inputs=replace(up.inputs, report=report)))
    said = "ordered replicas do not come: no H100 in zone b [429]"
    assert f"short {said}" in page(journal)
    assert f"5 ready, 2 starting, told 7 (reported 0 s before); {said}" in page(journal, up.id, 200)


def test_for_machines_and_for_nothing(journal, capsys) -> None:
    tell(journal, decision(60, 7))
    out = Console()
    assert explain_from(journal.path, "code-h100", out, NOW, as_json=True)
    body = json.loads(capsys.readouterr().out)
    assert (body["count"], body["origin"]) == (7, "before_journal")
    assert explain_from(journal.path, f"{60:032x}", out, NOW, as_json=True)
    assert "decision" in json.loads(capsys.readouterr().out)
    assert not explain_from(journal.path, "nothing", out, NOW, as_json=False)


def test_rules_that_cannot_be_read_any_more_cost_units_and_no_more(journal) -> None:
    one = replace(decision(60, 7), rules_revision="gone")
    tell(journal, one)
    text = page(journal)
    assert "slow 3.109 (from 491 samples, newest 4 s old)" in text
    assert "waiting 83 (5 of 5 replicas report, newest 4 s old)" in text


def test_times_and_durations(monkeypatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    try:
        assert when(NOW - 720, NOW) == "23:11:20 CET (12 min ago)"
        assert when(NOW - 86_400, NOW) == "2023-11-13 23:23:20 CET (24 h ago)"
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [duration(s) for s in (4.2, 119, 600, 12_000, 7200, 864_000)] == [
        "4 s", "119 s", "10 min", "3 h 20 min", "2 h", "10 days",
    ]  # fmt: skip
    assert (ago(-30), ago(-0.2), brief_duration(0.31)) == ("in 30 s", "0 s ago", "0.3 s")
    assert [amount(a) for a in (Amount(2), Amount(0, 0.5), Amount(4, 1.0))] == [
        "2", "50%", "max(4, 100%)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "stat", "value", "shown"),
    [
        ("ttft", "p95", 0.25, "250 ms"),
        ("ttft", "p95", 3.109, "3.109 s"),
        ("ttft", "count", 12.0, "12 samples"),
        ("kv_cache_usage", "max", 0.853, "85.3%"),
        ("arrivals", "rate", 2.5, "2.5 requests/s"),
        ("arrivals", "count", 12_000.0, "12,000 requests"),
        ("generation_tokens_total", "slope", 1234.5, "1,234 tokens/s"),
        ("cost", "last", 90.0, "90 USD/h"),
        ("hour", "last", 7.5, "7.5"),
    ],
)
def test_numbers_have_units(metric: str, stat: str, value: float, shown: str) -> None:
    assert quantity(value, SignalRule("s", metric, stat, 30.0)) == shown


def test_a_signal_without_a_value_says_why() -> None:
    missing = Signal(
        "kv", SignalStatus.MISSING, None, 9.0, 4, 1, 3, Unhealthy.NO_QUORUM, last_value=0.5
    )
    rule = SignalRule("kv", "kv_cache_usage", "max", 30.0, across="p90")
    assert signal_line(missing, rule) == (
        "kv has no usable value: too few replicas report, last value 50%"
        " (kv_cache_usage: highest over 30 s, p90 of the replicas; 1 of 3 replicas report,"
        " newest 9 s old)"
    )
    demand = SignalRule("demand", "demand", "rate", 60.0, builtin=True)
    fresh = Signal("demand", SignalStatus.FRESH, 2.0, 1.0, 120)
    assert signal_line(fresh, demand) == "demand = 2 requests/s (from 120 arrivals, newest 1 s old)"


ONE_POOL = """
apiVersion: poolwright/v1
service: chat
pools:
  - {name: gpu, role: default, provider: {simulated: {}}, replicas: {min: 1, max: 9}}
signals:
  running: {metric: requests_running, across: sum, stat: last, window: 30s}
triggers:
  - {name: load, target: {signal: running, per_replica: 10}}
"""


def test_decisions_of_a_service_with_one_pool_are_decided_again_exactly(journal) -> None:
    rules = load_sources({"chat.yaml": ONE_POOL})
    controller = Controller(rules)
    for second in range(3):
        sample = {"type": "replica", "at": NOW + second, "service": "chat", "pool": "gpu"}
        controller.ingest([sample | {"replica": "r1", "running": 35, "waiting": 0}])
        controller.report("gpu", at=NOW + second, ready=1)
        journal.record_tick(NOW + second, controller.decide(NOW + second), rules)
    stored = journal.decisions()
    assert stored
    for one in stored:
        assert decide_again(rules.services[0], one.decision) == one.decision

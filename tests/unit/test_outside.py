"""Somebody else sets the count: adopted, restored or alarmed, as the rule says."""

import logging
from io import StringIO

import pytest
from prometheus_client import CollectorRegistry
from rich.console import Console

from poolwright.controller import Controller
from poolwright.decision.decide import decide_again
from poolwright.model.pool import ActionReport, ActionStatus
from poolwright.record.explain_pool import explain_pool
from poolwright.record.metrics import DaemonMetrics
from poolwright.record.pool_story import Origin, PoolStory
from poolwright.rulefiles import load_sources
from poolwright.runtime.telling import Told


def controller(rule: str = "", mode: str = "act", trigger: str = "desired < 0") -> Controller:
    return Controller(
        load_sources(
            {
                "chat.yaml": f"""
apiVersion: poolwright/v1
service: chat
mode: {mode}
pools:
  - name: gpu
    provider: {{simulated: {{}}}}
    replicas: {{min: 1, max: 20}}
    {rule}
triggers:
  - {{name: never, when: "{trigger}", add: 1}}
limits:
  up: {{step: 4, per: 10s, stabilise: 0s}}
  down: {{step: 2, per: 10s, stabilise: 0s}}
"""
            }
        )
    )


def seen(found: Controller, at: float, count: int):
    found.report("gpu", at=at, ready=count)
    decisions = found.decide(at)
    for decision in decisions:
        service = found.rules.services[0]
        assert decide_again(service, decision) == decision
    return decisions[-1] if decisions else None


def test_a_change_from_outside_is_adopted_unless_the_rule_says_otherwise() -> None:
    found = controller()
    seen(found, 0.0, 5)
    decision = seen(found, 10.0, 9)
    assert (decision.outcome, decision.current, decision.desired) == ("hold", 9, 9)
    assert decision.evidence["left_at"] == 5.0
    decision = seen(found, 41.0, 9)
    assert "left_at" not in decision.evidence, "it is the pool's own count now"


def test_a_change_from_outside_is_restored_at_the_pace_of_the_limits() -> None:
    found = controller("outside_change: restore")
    seen(found, 0.0, 8)
    decision = seen(found, 20.0, 12)
    assert (decision.current, decision.desired, decision.reason) == (12, 10, "restored")
    assert decision.evidence["left_at"] == 8.0
    decision = seen(found, 21.0, 12)
    assert (decision.outcome, decision.current) == ("hold", 10), "an order is under way"
    decision = seen(found, 31.0, 10)
    assert (decision.desired, decision.reason) == (8, "restored")
    seen(found, 42.0, 8)
    assert seen(found, 90.0, 8).outcome == "hold"


def test_restoring_goes_on_until_the_count_is_back() -> None:
    """An intermediate step of the way back must not become the count that is kept."""
    found = controller("outside_change: restore")
    seen(found, 0.0, 8)
    count, at = 15, 20.0
    for _ in range(20):
        decision = seen(found, at, count)
        if decision is not None and decision.acts:
            found.acted(ActionReport("gpu", decision.id, at, ActionStatus.DONE, decision.desired))
            count = decision.desired
        at += 11.0
    assert count == 8


def test_a_pool_that_was_set_too_low_is_restored_as_well() -> None:
    found = controller("outside_change: restore")
    seen(found, 0.0, 8)
    decision = seen(found, 20.0, 2)
    assert (decision.outcome, decision.desired, decision.reason) == ("scale_up", 6, "restored")


def test_a_trigger_may_ask_for_more_than_what_is_restored() -> None:
    found = controller("outside_change: restore", trigger="ready == 10")
    seen(found, 0.0, 8)
    decision = seen(found, 20.0, 10)
    assert (decision.desired, decision.reason) == (11, "proposed")


def test_an_alarmed_pool_is_left_alone_in_both_directions_until_the_count_is_back() -> None:
    found = controller("outside_change: alarm", trigger="desired > 0")
    decision = seen(found, 0.0, 8)
    assert (decision.outcome, decision.desired) == ("scale_up", 9)
    found.acted(ActionReport("gpu", decision.id, 1.0, ActionStatus.DONE, 9))
    for at, count in ((20.0, 3), (60.0, 15), (100.0, 0)):
        decision = seen(found, at, count)
        assert (decision.outcome, decision.reason) == ("blocked", "changed_outside")
        assert (decision.current, decision.desired) == (count, count)
        assert decision.evidence["left_at"] == 9.0
    assert "outside_change: adopt" in seen(found, 140.0, 3).limits[-1].detail
    seen(found, 180.0, 9)
    decision = seen(found, 195.0, 9)
    assert (decision.outcome, decision.desired) == ("scale_up", 10)


def test_an_alarm_ends_when_the_rule_accepts_the_change() -> None:
    found = controller("outside_change: alarm")
    seen(found, 0.0, 8)
    assert seen(found, 20.0, 12).reason == "changed_outside"
    found.use_rules(controller().rules)
    assert seen(found, 30.0, 12).outcome == "hold"
    found.use_rules(controller("outside_change: alarm").rules)
    assert seen(found, 40.0, 12).outcome == "hold", "12 is the pool's own now"


@pytest.mark.parametrize("rule", ["restore", "alarm"])
@pytest.mark.parametrize("mode", ["advise", "paused"])
def test_a_pool_that_is_not_acted_on_is_anybodys(rule: str, mode: str) -> None:
    found = controller(f"outside_change: {rule}", mode=mode)
    seen(found, 0.0, 8)
    decision = seen(found, 20.0, 12)
    assert (decision.desired, decision.outcome) == (12, "hold")


def test_what_the_pools_own_orders_left_is_nobody_elses_doing() -> None:
    """Refused in part, or given up without an answer: the next report is believed."""
    for status, cause in (
        (ActionStatus.REFUSED, "no_capacity"),
        (ActionStatus.GIVEN_UP, "unreachable"),
        (ActionStatus.GIVEN_UP, "not_ready_in_time"),
    ):
        found = controller("outside_change: alarm", trigger="desired == 8")
        decision = seen(found, 0.0, 8)
        assert decision.desired == 9
        found.acted(ActionReport("gpu", decision.id, 1.0, status, 9, cause))
        decision = seen(found, 400.0, 7)
        assert (decision.outcome, decision.current) == ("hold", 7), cause


def test_a_change_that_came_between_decision_and_call_is_from_outside() -> None:
    found = controller("outside_change: alarm", trigger="desired == 8")
    decision = seen(found, 0.0, 8)
    refused = ActionReport("gpu", decision.id, 1.0, ActionStatus.REFUSED, 9, "changed_outside")
    found.acted(refused)
    decision = seen(found, 20.0, 13)
    assert (decision.reason, decision.evidence["left_at"]) == ("changed_outside", 8.0)


def test_a_change_from_outside_is_seen_in_the_metrics_while_it_lasts() -> None:
    found, metrics = controller("outside_change: alarm"), DaemonMetrics(CollectorRegistry())

    def shown(decision) -> float | None:
        metrics.decided(decision)
        return metrics.registry.get_sample_value("poolwright_pool_changed_outside", {"pool": "gpu"})

    assert shown(seen(found, 0.0, 8)) == 0.0
    assert shown(seen(found, 20.0, 12)) == 1.0
    assert shown(seen(found, 60.0, 8)) == 0.0


def test_the_log_tells_once_that_somebody_else_set_the_count(caplog) -> None:
    found, told = controller("outside_change: alarm"), Told()
    with caplog.at_level(logging.INFO):
        for at, count in ((0.0, 8), (20.0, 12), (60.0, 12), (100.0, 15), (140.0, 8), (180.0, 12)):
            decision = seen(found, at, count)
            told.decided(decision)
    assert [message.partition(" (explain")[0] for message in caplog.messages] == [
        f"gpu: somebody else set {count} replicas, it was left at 8; it is left alone until that is"
        " undone or accepted"
        for count in (12, 15, 12)
    ]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_explain_says_how_an_alarm_ends() -> None:
    found = controller("outside_change: alarm")
    seen(found, 0.0, 8)
    decision = seen(found, 20.0, 12)
    out = Console(record=True, width=100, file=StringIO())
    story = PoolStory("gpu", 12, decision, 20.0, Origin.OUTSIDE, 20.0)
    out.print(explain_pool(story, 21.0, found.rules.services[0]))
    assert "set it back to 8, or write outside_change: adopt in its rule" in out.export_text()

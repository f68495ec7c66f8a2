"""What each kind of trigger wishes, and what it refuses to guess."""

import pytest

from poolwright.model.rule import (
    Amount,
    Change,
    Condition,
    Schedule,
    ScheduleTrigger,
    TargetTrigger,
    ThresholdTrigger,
)
from poolwright.model.signal import Signal, SignalStatus, Unhealthy
from poolwright.triggers import TriggerMemory, View, evaluate

OVER = Condition(
    "x > 8", frozenset({"x"}), lambda values: values["x"] > 8 if "x" in values else None
)


def view(at: float, x: float | None, *, current: int = 4, ready: int = 4, idle: bool = False):
    if x is None:
        why = Unhealthy.IDLE if idle else Unhealthy.TOO_OLD
        signal = Signal("x", SignalStatus.STALE, None, 90.0, 0, why=why)
    else:
        signal = Signal("x", SignalStatus.FRESH, x, 1.0, 5)
    return View(at, current, ready, {"x": signal}, {} if x is None else {"x": x})


def threshold(change: Change, amount: Amount, *, for_s: float = 0, keep_s: float = 0):
    return ThresholdTrigger("t", OVER, change, amount, for_s, keep_s)


def test_a_threshold_fires_when_it_has_held_for_its_time() -> None:
    rule = threshold(Change.ADD, Amount(0, 0.5), for_s=30)
    proposal, memory = evaluate(rule, view(0, 9), TriggerMemory())
    assert proposal.replicas is None
    assert "not yet" in proposal.detail
    proposal, memory = evaluate(rule, view(30, 9), memory)
    assert (proposal.replicas, proposal.since, proposal.evidence) == (6, 0, {"x": 9})
    proposal, memory = evaluate(rule, view(31, 7), memory)
    assert (proposal.replicas, memory.holding_since) == (None, None)


def test_a_gap_neither_fires_nor_forgets_a_hold_upwards() -> None:
    rule = threshold(Change.ADD, Amount(1), for_s=30)
    _, memory = evaluate(rule, view(0, 9), TriggerMemory())
    proposal, memory = evaluate(rule, view(29, None), memory)
    assert (proposal.replicas, proposal.blind) == (None, ("x",))
    proposal, _ = evaluate(rule, view(31, 9), memory)
    assert proposal.replicas == 5


def test_a_gap_forgets_a_hold_downwards() -> None:
    rule = threshold(Change.REMOVE, Amount(1), for_s=30)
    _, memory = evaluate(rule, view(0, 9), TriggerMemory())
    _, memory = evaluate(rule, view(29, None), memory)
    assert memory.holding_since is None
    proposal, memory = evaluate(rule, view(31, 9), memory)
    assert proposal.replicas is None
    proposal, _ = evaluate(rule, view(61, 9), memory)
    assert proposal.replicas == 3


def test_an_addition_counts_from_ready_replicas_and_never_below_what_is_told() -> None:
    rule = threshold(Change.ADD, Amount(0, 0.5))
    proposal, _ = evaluate(rule, view(0, 9, current=6, ready=4), TriggerMemory())
    assert proposal.replicas == 6
    proposal, _ = evaluate(rule, view(0, 9, current=9, ready=1), TriggerMemory())
    assert proposal.replicas == 9


def test_set_and_keep() -> None:
    rule = threshold(Change.SET, Amount(8), keep_s=60)
    proposal, memory = evaluate(rule, view(0, 9), TriggerMemory())
    assert proposal.replicas == 8
    proposal, memory = evaluate(rule, view(30, 1), memory)
    assert proposal.replicas == 8
    assert "kept for 30 s more" in proposal.detail
    proposal, memory = evaluate(rule, view(40, 9), memory)
    assert proposal.replicas == 8
    proposal, _ = evaluate(rule, view(101, 1), memory)
    assert proposal.replicas is None


@pytest.mark.parametrize(
    ("value", "current", "expected"),
    [(40, 4, 4), (43, 4, 4), (45, 4, 5), (37, 4, 4), (26, 4, 3), (0, 4, 0), (0, 0, 0), (1, 0, 1)],
)
def test_a_target_has_a_tolerance_on_both_sides(value, current, expected) -> None:
    rule = TargetTrigger("t", "x", 10.0, tolerance=0.1)
    proposal, _ = evaluate(rule, view(0, value, current=current), TriggerMemory())
    assert proposal.replicas == expected


def test_a_target_without_its_signal_has_no_opinion() -> None:
    rule = TargetTrigger("t", "x", 10.0)
    proposal, _ = evaluate(rule, view(0, None), TriggerMemory())
    assert (proposal.replicas, proposal.blind) == (None, ("x",))
    proposal, _ = evaluate(rule, view(0, None, idle=True), TriggerMemory())
    assert (proposal.replicas, proposal.blind) == (None, ())


def test_a_schedule_is_a_floor_while_it_is_active() -> None:
    rule = ScheduleTrigger("t", Schedule("0 8 * * *", "UTC", 60.0, lambda at: at < 60), 8)
    assert evaluate(rule, view(0, 1), TriggerMemory())[0].replicas == 8
    assert evaluate(rule, view(60, 1), TriggerMemory())[0].replicas is None

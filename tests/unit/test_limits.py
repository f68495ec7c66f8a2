"""Each limit on its own: what it does to the number and the figures that it names."""

from dataclasses import replace

import pytest

from poolwright.decision import PoolMemory, decide_pool
from poolwright.decision.limits import counts_within, describe_amount
from poolwright.decision.memory import Command, current_count, fold_action
from poolwright.model.decision import Outcome, PoolInputs, Reason
from poolwright.model.pool import ActionReport, ActionStatus, PoolReport
from poolwright.model.rule import (
    AdvantageRule,
    Amount,
    DirectionLimit,
    Freeze,
    Limits,
    Mode,
    PoolRole,
    PoolRule,
    Schedule,
    ServiceRule,
    TargetTrigger,
)
from poolwright.model.signal import Signal, SignalStatus
from poolwright.model.tick import Health

ALWAYS = Schedule("* * * * *", "UTC", 60.0, lambda _: True)
SETTLED = PoolMemory(observed_since=0.0)


def decide(limits=Limits(), *, load=200.0, current=5, memory=SETTLED, **changes):  # noqa: B008
    pool = PoolRule("gpu", PoolRole.DEFAULT, "simulated", {}, 1, 50, price_usd_per_hour=4.0)
    pool = replace(pool, **changes.pop("pool", {}))
    trigger = TargetTrigger("target", "load", 10.0, pool="gpu")
    service = ServiceRule("chat", Mode.ACT, (), (pool,), (), (trigger,), limits)
    service = replace(service, **changes.pop("service", {}))
    inputs = PoolInputs(
        at=1000.0,
        rules_revision="r",
        service="chat",
        pool="gpu",
        report=changes.pop("report", PoolReport("gpu", 1000.0, current, current)),
        signals=(Signal("load", SignalStatus.FRESH, load, 1.0, 5),),
        health=changes.pop("health", Health()),
        other_cost_usd_per_hour=changes.pop("other", 0.0),
    )
    assert not changes
    memory, decision = decide_pool(service, pool, inputs, memory)
    assert decision is not None
    return decision


def test_the_step_limits_growth_and_says_how() -> None:
    decision = decide(Limits(up=DirectionLimit(Amount(4, 1.0), 15.0)))
    assert (decision.outcome, decision.desired) == (Outcome.SCALE_UP, 10)
    (effect,) = decision.limits
    assert (effect.limit, effect.before, effect.after) == (Reason.STEP, 20, 10)
    assert effect.detail == "at most max(4, 100%) per 15 s, to 10"


def test_a_step_counts_from_the_lowest_count_of_its_window() -> None:
    memory = replace(SETTLED, counts=((900.0, 2), (990.0, 5)))
    decision = decide(Limits(up=DirectionLimit(Amount(4), 15.0)), memory=memory)
    assert decision.desired == 6


def test_cooldown() -> None:
    memory = replace(SETTLED, last_change_at=980.0, counts=((980.0, 5),))
    limits = Limits(up=DirectionLimit(Amount(4), 15.0, cooldown_s=60.0))
    decision = decide(limits, memory=memory)
    assert (decision.outcome, decision.reason) == (Outcome.BLOCKED, Reason.COOLDOWN)
    assert decision.limits[0].detail == "40 s of 60 s left"


def test_stabilisation_downwards_waits_until_it_has_seen_its_window() -> None:
    decision = decide(load=10.0, memory=PoolMemory(observed_since=900.0))
    assert (decision.outcome, decision.reason) == (Outcome.BLOCKED, Reason.STABILISING)
    high = replace(SETTLED, highest=((990.0, 4),))
    decision = decide(load=10.0, memory=high)
    assert decision.desired == 4
    first = decide(load=10.0, memory=PoolMemory())
    assert first.reason is Reason.STABILISING


def test_stabilisation_upwards() -> None:
    limits = Limits(up=DirectionLimit(Amount(50), 15.0, stabilise_s=60.0))
    decision = decide(limits, memory=replace(SETTLED, lowest=((990.0, 7),)))
    assert decision.desired == 7


def test_freezes_hold_their_direction_only() -> None:
    up = Limits(freezes=(Freeze("launch", ALWAYS, "up"),))
    assert decide(up).reason is Reason.FROZEN
    assert decide(up, load=10.0).outcome is Outcome.SCALE_DOWN
    both = Limits(freezes=(Freeze("launch", ALWAYS, "both"),))
    assert decide(both, load=10.0).reason is Reason.FROZEN


def test_the_budget_counts_the_other_pools_and_never_forces_a_reduction() -> None:
    limits = Limits(up=DirectionLimit(Amount(50), 15.0), budget_usd_per_hour=60.0)
    assert decide(limits, other=20.0).desired == 10
    assert decide(limits, other=100.0).reason is Reason.BUDGET
    assert decide(limits, load=48.0, other=100.0).outcome is Outcome.HOLD


@pytest.mark.parametrize(
    ("memory", "reason"),
    [
        (replace(SETTLED, stock_until=1030.0), Reason.STOCK),
        (replace(SETTLED, failing_until=1030.0, failures=2), Reason.PROVIDER_FAILING),
    ],
)
def test_back_offs(memory, reason) -> None:
    decision = decide(memory=memory)
    assert (decision.outcome, decision.reason) == (Outcome.BLOCKED, reason)


def test_an_accelerator_without_an_advantage_does_not_grow() -> None:
    accelerator = {"role": PoolRole.ACCELERATOR, "advantage": AdvantageRule(0.15, None)}
    decision = decide(pool=accelerator)
    assert (decision.outcome, decision.reason) == (Outcome.BLOCKED, Reason.NO_ADVANTAGE)
    assert decide(pool=accelerator, load=10.0).outcome is Outcome.SCALE_DOWN


def test_an_unhealthy_whole_blocks_scaling_down() -> None:
    assert decide(load=10.0, health=Health(ingest_behind=True)).reason is Reason.INGEST_BEHIND
    assert decide(load=10.0, health=Health(reload_failed=True)).reason is Reason.RELOAD_FAILED
    assert decide(health=Health(ingest_behind=True)).outcome is Outcome.SCALE_UP


def test_a_pool_that_has_not_reported_is_left_alone() -> None:
    decision = decide(report=None)
    assert (decision.outcome, decision.reason) == (Outcome.BLOCKED, Reason.UNKNOWN_POOL)
    assert decide(report=None, memory=PoolMemory(counts=((1.0, 7),))).current == 7


def test_bounds_alone_are_named() -> None:
    decision = decide(load=0.0, current=0, pool={"min_replicas": 2}, service={"triggers": ()})
    assert (decision.outcome, decision.reason) == (Outcome.SCALE_UP, Reason.BOUNDS)
    held = decide(load=900.0, current=50)
    assert (held.outcome, held.reason) == (Outcome.HOLD, Reason.BOUNDS)
    assert decide(service={"triggers": ()}).reason is Reason.NO_OPINION


def test_amounts_and_windows() -> None:
    assert [Amount(4, 1.0).of(n) for n in (0, 3, 9)] == [4, 4, 9]
    assert Amount(0, 0.1).of(3) == 1
    assert [describe_amount(a) for a in (Amount(3), Amount(0, 0.5))] == ["3", "50%"]
    assert counts_within(((1.0, 5), (2.0, 6), (3.0, 7)), 2.0) == [6, 7]


COMMANDED = PoolMemory(
    counts=((1.0, 5), (10.0, 8)),
    command=Command(8, 10.0, "d1", changed_before_at=1.0),
    last_change_at=10.0,
)


def action(status: ActionStatus, cause: str = "", decision: str = "d1", startup=None):
    return ActionReport("gpu", decision, 20.0, status, 8, cause, startup)


def test_a_command_counts_until_a_settled_report() -> None:
    early, late = PoolReport("gpu", 12.0, 5, 5), PoolReport("gpu", 16.0, 5, 5)
    assert current_count(COMMANDED, early) == 8
    assert current_count(COMMANDED, late) == 5
    flying = fold_action(COMMANDED, action(ActionStatus.STARTED))
    assert current_count(flying, late) == 8
    done = fold_action(flying, action(ActionStatus.DONE))
    assert current_count(done, PoolReport("gpu", 26.0, 7, 5)) == 7


def test_a_refused_action_starts_no_cooldown_and_backs_off() -> None:
    refused = fold_action(COMMANDED, action(ActionStatus.REFUSED, "gone"))
    assert (refused.last_change_at, refused.counts) == (1.0, ((1.0, 5),))
    assert (refused.failing_until, refused.failures) == (25.0, 1)
    empty = fold_action(COMMANDED, action(ActionStatus.REFUSED, "no_capacity"))
    assert (empty.stock_until, empty.stock_failures) == (80.0, 1)
    late = fold_action(COMMANDED, action(ActionStatus.GIVEN_UP, "not_ready_in_time"))
    assert (late.command, late.last_change_at) == (None, 10.0)
    moved = replace(COMMANDED, counts=((1.0, 5), (15.0, 6)))
    assert fold_action(moved, action(ActionStatus.GIVEN_UP, "unreachable")).counts[-1] == (15.0, 6)


def test_an_order_whose_replicas_do_not_come_stands_and_no_more_are_asked_for() -> None:
    done = fold_action(COMMANDED, action(ActionStatus.DONE))
    short = fold_action(done, action(ActionStatus.GIVEN_UP, "no_capacity"))
    assert (short.stock_until, short.stock_failures) == (80.0, 1)
    assert (short.counts, short.last_change_at) == (COMMANDED.counts, 10.0)
    assert short.failing_until is None


def test_other_actions_and_confirmations() -> None:
    assert fold_action(COMMANDED, action(ActionStatus.DONE, decision="other")) == COMMANDED
    confirmed = fold_action(COMMANDED, action(ActionStatus.CONFIRMED, startup=90.0))
    assert confirmed.startup_s == (90.0,)

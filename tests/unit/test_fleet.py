"""Sharing out a budget and stock: who may have how many, who gives back to whom, and the words."""

from dataclasses import replace

import pytest

from poolwright.decision import PoolMemory, decide_again, decide_pool
from poolwright.decision.fleet import Claim, claim_of, share_out
from poolwright.model.decision import FleetRoom, Outcome, PoolInputs, Reason
from poolwright.model.pool import PoolReport
from poolwright.model.rule import (
    Amount,
    Change,
    Condition,
    DirectionLimit,
    FleetRule,
    FleetStock,
    Freeze,
    Limits,
    Mode,
    PoolRole,
    PoolRule,
    Schedule,
    ServiceRule,
    Standing,
    ThresholdTrigger,
)
from poolwright.model.signal import Signal, SignalStatus
from poolwright.model.tick import Health

ALWAYS = Schedule("* * * * *", "UTC", 60.0, lambda _: True)
BUDGET = FleetRule(100.0, (), {})


def claim(name: str, current: int, wish: int, **changes) -> Claim:
    standing = Standing(changes.pop("priority", 0), changes.pop("weight", 1.0))
    found = Claim(name, f"{name}-pool", standing, 10.0, current, wish, 0, 20, movable=True)
    return replace(found, **changes)


def mosts(fleet: FleetRule, *claims: Claim) -> dict[str, int]:
    return {pool.partition("-")[0]: r.most for pool, r in share_out(fleet, claims).items()}


def test_nothing_is_limited_that_its_own_bounds_limit_first() -> None:
    assert share_out(FleetRule(400.0, (), {}), (claim("a", 2, 5), claim("b", 2, 5))) == {}
    assert share_out(FleetRule(None, (), {}), (claim("a", 2, 5),)) == {}


def test_what_nobody_claims_is_dealt_out_in_parts_that_do_not_overlap() -> None:
    assert mosts(BUDGET, claim("a", 1, 1), claim("b", 1, 1)) == {"a": 5, "b": 5}


def test_a_higher_priority_comes_first_and_waits_for_what_the_others_give_back() -> None:
    rooms = share_out(BUDGET, (claim("low", 6, 6), claim("high", 4, 8, priority=1)))
    assert rooms == {
        "low-pool": FleetRoom(
            2,
            Reason.FLEET_BUDGET,
            "fleet budget of 100 USD/h: 2 replicas are this pool's share, "
            "the rest is for high (priority 1)",
        ),
        "high-pool": FleetRoom(
            4,
            Reason.FLEET_BUDGET,
            "fleet budget of 100 USD/h: 100 in use or guaranteed, room for 4 here",
        ),
    }
    assert mosts(BUDGET, claim("low", 5, 6), claim("high", 4, 8, priority=1)) == {
        "low": 2,
        "high": 5,
    }


@pytest.mark.parametrize(("weight", "shares"), [(1.0, (5, 5)), (2.0, (7, 3)), (4.0, (8, 2))])
def test_equals_share_by_weight(weight, shares) -> None:
    found = mosts(BUDGET, claim("a", 0, 20, weight=weight), claim("b", 0, 20))
    assert found == {"a": shares[0], "b": shares[1]}


def test_a_fair_share_is_in_money_of_the_budget_and_in_replicas_of_stock() -> None:
    dear, cheap = claim("dear", 0, 20, price_usd_per_hour=20.0), claim("cheap", 0, 20)
    assert mosts(FleetRule(200.0, (), {}), dear, cheap) == {"dear": 5, "cheap": 10}
    stock = FleetStock("h100", 10, ("dear-pool", "cheap-pool", "elsewhere"))
    assert mosts(FleetRule(None, (stock,), {}), dear, cheap) == {"dear": 5, "cheap": 5}


def test_a_service_of_two_pools_has_one_share() -> None:
    two = (claim("a", 0, 20), replace(claim("a", 0, 20), pool="more"), claim("b", 0, 20))
    assert mosts(BUDGET, *two) == {"a": 3, "more": 2, "b": 5}


def test_stock_that_a_pool_cannot_pay_for_is_for_the_others() -> None:
    fleet = FleetRule(100.0, (FleetStock("h100", 20, ("dear-pool", "cheap-pool")),), {})
    dear = claim("dear", 0, 20, price_usd_per_hour=25.0)
    cheap = claim("cheap", 0, 20, price_usd_per_hour=1.0)
    rooms = share_out(fleet, (dear, cheap))
    assert {pool: (room.most, room.limit) for pool, room in rooms.items()} == {
        "dear-pool": (3, Reason.FLEET_BUDGET),
        "cheap-pool": (17, Reason.FLEET_STOCK),
    }


def test_minimums_come_before_any_wish_and_before_the_budget() -> None:
    low = claim("low", 0, 5, least=5)
    assert mosts(BUDGET, low, claim("high", 4, 20, priority=1)) == {"low": 5, "high": 5}
    assert mosts(FleetRule(0.0, (), {}), low, claim("high", 4, 20, priority=1)) == {
        "low": 5,
        "high": 0,
    }


def test_a_lowered_budget_is_met_by_all_in_fair_shares() -> None:
    rooms = share_out(FleetRule(60.0, (), {}), (claim("a", 5, 5), claim("b", 7, 7)))
    assert {pool: room.most for pool, room in rooms.items()} == {"a-pool": 3, "b-pool": 3}
    assert rooms["a-pool"].detail.endswith("more is in use than there is")


def test_a_pool_that_was_never_reported_may_have_all_it_can() -> None:
    unseen = claim("new", 0, 0, movable=False, unseen=True, bound=9)
    (room,) = share_out(BUDGET, (claim("a", 0, 5), unseen)).values()
    assert room.most == 1
    assert "new-pool counted at most as not reported yet" in room.detail


def test_what_is_saved_up_for_a_dearer_replica_is_not_taken_by_a_cheap_one() -> None:
    dear = claim("dear", 0, 1, priority=1, price_usd_per_hour=50.0)
    assert mosts(BUDGET, dear, claim("cheap", 8, 9)) == {"dear": 0, "cheap": 5}
    assert mosts(BUDGET, dear, claim("cheap", 6, 9)) == {"dear": 0, "cheap": 5}
    assert mosts(BUDGET, dear, claim("cheap", 5, 9))["cheap"] == 5


def test_what_is_within_a_share_is_left_alone_while_others_have_still_to_shrink() -> None:
    """The dear pool waits for what `high` gives up by itself, not for what `cheap` is to keep."""
    high = claim("high", 2, 1, priority=1)
    dear, cheap = claim("dear", 0, 1, price_usd_per_hour=25.0), claim("cheap", 1, 1)
    assert mosts(FleetRule(45.0, (), {}), high, dear, cheap) == {"high": 3, "dear": 0, "cheap": 1}


def test_more_than_it_wishes_a_pool_has_for_as_long_as_nobody_of_its_priority_needs_it() -> None:
    many = claim("many", 8, 3)
    assert mosts(BUDGET, replace(many, standing=Standing(1)), claim("low", 2, 7))["many"] == 8
    assert mosts(BUDGET, many, claim("equal", 2, 7)) == {"many": 5, "equal": 2}
    assert mosts(BUDGET, many, claim("high", 2, 6, priority=1)) == {"many": 4, "high": 2}
    assert mosts(BUDGET, many, claim("high", 2, 9, priority=1)) == {"many": 1, "high": 2}


def test_a_lowered_budget_takes_first_what_nobody_wishes() -> None:
    high, low = claim("high", 8, 3, priority=1), claim("low", 2, 2)
    assert mosts(FleetRule(80.0, (), {}), high, low) == {"high": 6, "low": 2}


def test_where_both_are_short_the_larger_part_counts() -> None:
    """Of 10 replicas and 200 USD/h: `dear` draws faster on the budget, `cheap` on the stock."""
    stock = FleetStock("h100", 10, ("dear-pool", "cheap-pool"))
    dear = claim("dear", 0, 9, price_usd_per_hour=40.0)
    found = mosts(
        FleetRule(200.0, (stock,), {}), dear, claim("cheap", 0, 9, price_usd_per_hour=5.0)
    )
    assert found == {"dear": 3, "cheap": 7}


def test_stock_that_a_pool_has_for_itself_costs_it_no_part_of_the_budget() -> None:
    stock = FleetStock("tpu", 5, ("a-pool",))
    rooms = share_out(FleetRule(100.0, (stock,), {}), (claim("a", 0, 9), claim("b", 0, 20)))
    assert {pool: room.most for pool, room in rooms.items()} == {"a-pool": 5, "b-pool": 5}


def test_who_is_cut_goes_down_to_its_share_whatever_is_short_once_all_have_theirs() -> None:
    """`b` has all of the stock, so `a` comes first with the budget, also when `c` gave up."""
    stock = FleetStock("h100", 1, ("more", "c-pool"))
    a, b = claim("a", 0, 2, priority=1), claim("b", 1, 2, priority=1)
    more = replace(b, pool="more", current=1, wish=1, least=1, price_usd_per_hour=0.0)
    c = claim("c", 0, 1, price_usd_per_hour=0.0)
    found = mosts(FleetRule(20.0, (stock,), {}), a, b, more, c)
    assert (found["a"], found["b"]) == (1, 0)


# --- what a pool claims ---------------------------------------------------------------------

POOL = PoolRule("a-pool", PoolRole.DEFAULT, "simulated", {}, 2, 8, price_usd_per_hour=4.0)
SERVICE = ServiceRule("a", Mode.ACT, (), (POOL,), (), ())
FLEET = FleetRule(100.0, (), {"a": Standing(7, 2.0)})


def claimed(memory=PoolMemory(wish=6), *, mode=Mode.ACT, count=4, reported=True, owned=True):  # noqa: B008
    return claim_of(
        FLEET,
        replace(SERVICE, mode=mode),
        POOL,
        memory,
        count=count,
        reported=reported,
        owned=owned,
    )


def test_a_claim_is_the_last_wish_within_the_bounds_of_now() -> None:
    expected = Claim("a", "a-pool", Standing(7, 2.0), 4.0, 4, 6, 2, 8, movable=True)
    assert claimed() == expected
    assert claimed(PoolMemory(wish=60)) == replace(expected, wish=8)
    assert claimed(PoolMemory(wish=3)) == replace(expected, wish=3)
    assert claimed(PoolMemory(wish=1)) == replace(expected, wish=2)
    assert claimed(PoolMemory(wish=3, keeps=True)) == replace(expected, wish=4, least=4)


@pytest.mark.parametrize(
    ("changes", "least", "movable"),
    [
        ({"memory": PoolMemory(wish=6, keeps=True)}, 4, True),
        ({"memory": PoolMemory()}, 4, True),
        ({"mode": Mode.ADVISE}, 4, False),
        ({"mode": Mode.PAUSED, "count": 1}, 1, False),
        ({"owned": False, "count": 1}, 2, False),
        ({"reported": False}, 4, False),
    ],
)
def test_who_cannot_shrink_keeps_what_it_has(changes, least, movable) -> None:
    found = claimed(**changes)
    assert (found.least, found.movable, found.unseen) == (least, movable, False)


def test_what_was_never_reported_is_not_zero() -> None:
    found = claimed(PoolMemory(), count=None, reported=False)
    assert (found.current, found.least, found.held, found.unseen) == (0, 2, 8, True)
    assert claimed(count=9).bound == 9


# --- what a room does to a decision ---------------------------------------------------------

UP = Condition("load > 1", frozenset({"load"}), lambda values: "load" in values or None)


def decide(current, room, *, wish=10, memory=None, limits=None, load=2.0, health=Health()):  # noqa: B008
    trigger = ThresholdTrigger("wish", UP, Change.SET, Amount(wish))
    limits = limits or Limits(
        DirectionLimit(Amount(9), 1.0), DirectionLimit(Amount(2), 60.0, 300.0)
    )
    service = replace(SERVICE, triggers=(trigger,), limits=limits)
    pool = replace(POOL, max_replicas=20)
    status = SignalStatus.MISSING if load is None else SignalStatus.FRESH
    inputs = PoolInputs(
        1000.0,
        "r",
        "a",
        "a-pool",
        PoolReport("a-pool", 1000.0, current, current),
        (Signal("load", status, load, 1.0, 5),),
        health,
        fleet=room,
    )
    service = replace(service, pools=(pool,))
    memory, decision = decide_pool(service, pool, inputs, memory or PoolMemory(observed_since=0.0))
    assert decision is not None
    assert decide_again(service, decision) == decision
    return memory, decision


def room(most: int, limit: Reason = Reason.FLEET_BUDGET) -> FleetRoom:
    return FleetRoom(most, limit, "figures")


def test_growth_ends_where_the_room_does_and_says_so() -> None:
    memory, decision = decide(5, room(7))
    assert (decision.outcome, decision.reason, decision.desired) == ("scale_up", "proposed", 7)
    assert [(e.limit, e.before, e.after, e.detail) for e in decision.limits] == [
        (Reason.FLEET_BUDGET, 10, 7, "figures")
    ]
    assert (memory.wish, memory.keeps) == (10, False)
    _, decision = decide(7, room(7, Reason.FLEET_STOCK))
    assert (decision.outcome, decision.reason, decision.desired) == ("blocked", "fleet_stock", 7)


def test_a_room_without_influence_is_no_part_of_the_record() -> None:
    assert decide(5, room(12))[1] == decide(5, None)[1]
    assert decide(5, room(7))[1].inputs.fleet == room(7)


def test_what_is_asked_back_goes_in_steps_whatever_the_own_wish_and_its_stabilisation() -> None:
    for wish in (10, 7, 3):
        memory = PoolMemory(observed_since=990.0)
        memory, decision = decide(7, room(3), wish=wish, memory=memory)
        assert (decision.outcome, decision.reason) == (Outcome.SCALE_DOWN, Reason.FLEET_BUDGET)
        assert decision.desired == 5
        assert [e.limit for e in decision.limits[-2:]] == [Reason.FLEET_BUDGET, Reason.STEP]
        assert memory.wish == wish


def test_the_minimum_is_never_asked_back() -> None:
    _, decision = decide(3, room(0))
    assert decision.desired == 2
    _, decision = decide(2, room(0))
    assert (decision.outcome, decision.desired) == (Outcome.BLOCKED, 2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"load": None}, Reason.TELEMETRY_UNHEALTHY),
        ({"health": Health(ingest_behind=True)}, Reason.INGEST_BEHIND),
        ({"health": Health(reload_failed=True)}, Reason.RELOAD_FAILED),
        ({"limits": Limits(freezes=(Freeze("night", ALWAYS, "down"),))}, Reason.FROZEN),
    ],
)
def test_nothing_is_given_back_on_what_is_not_known_nor_in_a_freeze(changes, reason) -> None:
    memory, decision = decide(7, room(3), wish=7, **changes)
    assert (decision.outcome, decision.reason, decision.desired) == ("blocked", reason, 7)
    assert decision.limits[0].limit is Reason.FLEET_BUDGET
    assert memory.keeps


def test_a_cooldown_delays_what_is_asked_back_and_lessens_no_claim() -> None:
    limits = Limits(
        DirectionLimit(Amount(1), 60.0, cooldown_s=60.0),
        DirectionLimit(Amount(1), 60.0, cooldown_s=60.0),
    )
    recent = PoolMemory(observed_since=0.0, last_change_at=990.0, counts=((990.0, 7),))
    memory, decision = decide(7, room(3), limits=limits, memory=recent)
    assert (decision.outcome, decision.reason) == (Outcome.BLOCKED, Reason.COOLDOWN)
    assert (memory.wish, memory.keeps) == (10, False)


def test_nothing_is_claimed_that_could_not_be_used() -> None:
    frozen = Limits(freezes=(Freeze("sale", ALWAYS, "up"),))
    assert decide(5, None, limits=frozen)[0].wish == 5
    own = Limits(budget_usd_per_hour=28.0)
    assert decide(5, None, limits=own)[0].wish == 7
    empty = PoolMemory(observed_since=0.0, stock_until=1030.0)
    assert decide(5, None, memory=empty)[0].wish == 5

"""The plan over a service's pools, by declared speeds and even arrivals."""

import pytest
from tests.unit.mix_bench import AT, GAIN, GPU, QUICK, SLOW, WSE, Fleet, advantage, pool

from poolwright.model.assessment import Basis


def test_one_pool_carries_all_without_a_plan() -> None:
    plan = Fleet(GPU).plan(gpu=3)
    assert plan["gpu"].share.classes == {"chat": 1.0}
    assert (plan["gpu"].share.count, plan["gpu"].advantage) == (None, None)


def test_without_an_slo_trigger_every_pool_follows_its_own_need() -> None:
    forecast = "triggers:\n  - {name: ahead, forecast: {}}\n"
    plan = Fleet(GPU, WSE, triggers=forecast).plan(gpu=3)
    assert {name: item.share.count for name, item in plan.items()} == {"gpu": None, "wse": None}


def test_an_accelerator_takes_what_it_is_ready_for() -> None:
    fleet = Fleet(GPU, WSE)
    before = fleet.plan(gpu=8, wse=0)
    assert advantage(before).granted
    assert before["wse"].share.count == 1
    assert before["gpu"].share.classes["chat"] == pytest.approx(1.0)
    after = fleet.plan(gpu=8, wse=1)
    assert after["gpu"].share.classes["chat"] < 0.5
    assert after["gpu"].share.count is None
    assert after["wse"].share.detail.startswith("cheapest mix 1 wse at 10.00 USD/h")


def test_the_two_ways_are_in_the_evidence() -> None:
    found = advantage(Fleet(GPU, WSE).plan(gpu=8))
    without, with_it = found.alternatives
    assert (without.name, set(without.replicas)) == ("default pools", {"gpu"})
    assert (with_it.name, with_it.replicas) == ("with wse", {"wse": 1})
    assert without.usd_per_hour == 4.0 * without.replicas["gpu"]
    assert (found.basis, found.default_basis) == (Basis.DECLARED, Basis.DECLARED)
    # 20 requests of 600 tokens a second.
    assert with_it.usd_per_million_tokens == pytest.approx(10.0 / (20 * 600 * 3600) * 1e6, rel=0.01)
    assert found.utilisation is not None
    assert 0.3 < found.utilisation < 0.8


def test_what_the_first_one_would_do_is_the_evidence_against_it() -> None:
    dear = pool("wse", "accelerator", 500.0, QUICK)
    plan = Fleet(GPU, dear).plan(gpu=8)
    found = advantage(plan)
    assert not found.granted
    assert found.why.startswith("it would cost 500.00 USD/h and avoid ")
    assert plan["wse"].share.count == 0
    # None may be ordered: there is no first one either.
    bound = pool("wse", "accelerator", 5.0, QUICK, replicas="{min: 0, max: 0}")
    none = advantage(Fleet(GPU, bound).plan(gpu=8))
    assert none.why.startswith("it would take no replica of the default pools over")


def test_an_slo_that_the_default_pools_cannot_meet_goes_to_the_accelerator() -> None:
    dear = pool("wse", "accelerator", 500.0, QUICK)
    triggers = "triggers:\n  - {name: a, slo: chat}\n  - {name: b, slo: fast}\n"
    plan = Fleet(GPU, dear, triggers=triggers, fast=2).plan(gpu=8)
    found = advantage(plan)
    assert (found.granted, found.kind) == (True, "performance")
    assert "cannot meet the SLO of fast" in found.why
    assert plan["wse"].share.classes["fast"] == pytest.approx(1.0)
    assert plan["wse"].share.count == 1


def test_a_class_that_no_pool_meets_goes_to_those_that_serve_it() -> None:
    triggers = "triggers:\n  - {name: b, slo: fast}\n"
    other = pool("gpu-b", "default", 9.0, SLOW)
    plan = Fleet(GPU, other, triggers=triggers, chat=0, fast=2).plan(gpu=2)
    assert plan["gpu"].share.classes["fast"] == pytest.approx(1.0)


def test_default_pools_share_by_cost_and_bounds() -> None:
    small = pool("gpu", "default", 4.0, SLOW, replicas="{min: 0, max: 2}")
    other = pool("gpu-b", "default", 9.0, SLOW)
    plan = Fleet(small, other).plan(gpu=2, **{"gpu-b": 4})
    shares = [plan[name].share.classes["chat"] for name in ("gpu", "gpu-b")]
    assert sum(shares) == pytest.approx(1.0)
    assert 0.1 < shares[0] < 0.6
    assert all(item.share.count is None for item in plan.values())


def test_what_an_accelerator_leaves_falls_to_the_first_default_pool() -> None:
    other = pool("gpu-b", "default", 9.0, SLOW)
    fleet = Fleet(GPU, other, WSE)
    plan = fleet.plan(gpu=8, wse=0)
    assert plan["wse"].share.classes["chat"] == pytest.approx(1.0)
    assert plan["gpu"].share.classes["chat"] == pytest.approx(1.0)
    assert plan["gpu-b"].share.classes == {}


def test_a_pool_with_a_class_of_its_own_gets_no_other() -> None:
    batch = pool("gpu-b", "default", 1.0, SLOW, serves="[fast]")
    plan = Fleet(GPU, batch, fast=1).plan(gpu=8)
    assert set(plan["gpu-b"].share.classes) <= {"fast"}
    assert plan["gpu"].share.classes["chat"] == pytest.approx(1.0)


def test_accelerators_are_judged_beside_those_that_are_granted() -> None:
    second = pool("lpu", "accelerator", 11.0, QUICK)
    fleet = Fleet(GPU, WSE, second)
    plan = fleet.plan(gpu=8)
    assert advantage(plan).granted
    # Where the first serves all at less, the second takes nothing over.
    assert not advantage(plan, "lpu").granted
    again = fleet.plan(gpu=8, wse=1)
    assert not advantage(again, "lpu").granted
    assert again["lpu"].share.count == 0


def test_what_is_out_of_stock_is_not_planned_with() -> None:
    plan = Fleet(GPU, WSE).plan(gpu=3, most={"gpu": 3, "wse": 0})
    assert "short of chat by" in plan["gpu"].share.detail
    assert plan["wse"].share.count == 0


def test_an_order_that_is_long_overdue_is_not_counted_on() -> None:
    fleet = Fleet(GPU, WSE)
    startups = fleet.pools["gpu"].startups
    startups.report(0.0, 2, 0)
    startups.report(10.0, 2, 3)
    plan = fleet.plan(gpu=2, wse=0, most={"wse": 0})
    assert plan["gpu"].share.detail.startswith("cheapest mix of none at 0.00 USD/h; short of chat")


def test_a_lease_that_runs_is_used_and_no_new_one_is_ordered() -> None:
    leased = pool("wse", "accelerator", 500.0, QUICK, lease="1h")
    fleet = Fleet(GPU, leased)
    fleet.pools["wse"].startups.report(AT - 20, 0, 0)
    fleet.pools["wse"].startups.report(AT - 10, 1, 0)
    plan = fleet.plan(gpu=8, wse=1)
    assert not advantage(plan).granted
    assert plan["wse"].share.count == 1


def test_an_accelerator_is_kept_until_the_gpus_can_take_its_load() -> None:
    dear = pool("wse", "accelerator", 500.0, QUICK)
    fleet = Fleet(GPU, dear)
    plan = fleet.plan(gpu=1, wse=1)
    assert plan["wse"].share.count == 1
    assert plan["wse"].share.detail.endswith("; kept until the default pools are ready")
    assert plan["gpu"].share.classes["chat"] == pytest.approx(1.0)
    assert fleet.plan(gpu=9, wse=1)["wse"].share.count == 0


def test_the_budget_bounds_the_mix() -> None:
    other = pool("gpu-b", "default", 5.0, SLOW)
    plan = Fleet(GPU, other, limits="limits: {budget: 8 USD/h}\n").plan(gpu=2)
    assert plan["gpu"].share.detail.startswith("cheapest mix 2 gpu at 8.00 USD/h; short of chat")


def test_no_demand_needs_no_replica_and_costs_no_tokens() -> None:
    fleet = Fleet(GPU, WSE, chat=0)
    plan = fleet.plan(gpu=1)
    assert plan["wse"].share.count == 0
    assert advantage(plan).alternatives[0].usd_per_million_tokens is None


# --- measured p95 ------------------------------------------------------------------------------

THIN = pool("wse", "accelerator", 20.0, QUICK, advantage=GAIN.replace("15%", "60%"))
"""Cheaper than the GPUs that it takes over from, but not by the margin."""


def test_requests_that_were_quicker_let_a_plan_use_it_that_saves_little() -> None:
    fleet = Fleet(GPU, THIN)
    before = fleet.plan(gpu=8, wse=0)
    found = advantage(before)
    assert (found.granted, before["wse"].share.count) == (False, 0)
    assert found.margin is not None
    assert 0.0 < found.margin < 0.6
    assert found.comparisons == (), "it never ran"
    fleet.ended("gpu", 0.02)
    fleet.ended("wse", 0.002)
    after = fleet.plan(gpu=8, wse=0)
    found = advantage(after)
    assert (found.granted, found.kind) == (True, "performance")
    assert [(one.request_class, one.time) for one in found.comparisons] == [
        ("chat", "ttft"),
        ("chat", "itl"),
    ]
    assert found.comparisons[1].margin == pytest.approx(0.9)
    assert after["wse"].share.count == 1


def test_a_class_that_only_one_of_them_serves_is_compared_with_nothing() -> None:
    fleet = Fleet(GPU, pool("wse", "accelerator", 20.0, QUICK, serves="[fast]"), fast=1)
    fleet.ended("gpu", 0.02)
    fleet.ended("wse", 0.002)
    assert advantage(fleet.plan(gpu=8)).comparisons == ()
    alone = Fleet(pool("gpu", "default", 4.0, SLOW, serves="[fast]"), WSE, fast=1)
    alone.ended("gpu", 0.02)
    alone.ended("wse", 0.002)
    assert advantage(alone.plan(gpu=8)).comparisons == ()


def test_default_pools_in_which_nothing_ended_leave_it_unknown() -> None:
    fleet = Fleet(GPU, THIN)
    fleet.ended("wse", 0.002)
    found = advantage(fleet.plan(gpu=8))
    assert not found.granted
    assert [(one.default_requests, one.margin) for one in found.comparisons] == [(0, None)] * 2


def test_rules_without_performance_compare_nothing() -> None:
    fleet = Fleet(GPU, pool("wse", "accelerator", 20.0, QUICK, advantage="{economic: 60%}"))
    fleet.ended("gpu", 0.02)
    fleet.ended("wse", 0.002)
    found = advantage(fleet.plan(gpu=8))
    assert (found.granted, found.comparisons, found.required_p95_margin) == (False, (), None)

"""The plan over a service's pools, by declared speeds and even arrivals."""

import numpy as np
import pytest

from poolwright.capacity.demand import Demand
from poolwright.capacity.mix import Plan, Planner
from poolwright.capacity.pool_learner import PoolLearner
from poolwright.model.assessment import Advantage, Basis
from poolwright.model.pool import PoolReport
from poolwright.rulefiles import load_sources

HEAD = """
apiVersion: poolwright/v1
service: chat
classes:
  chat: {ttft: 2s, itl: 50ms, attainment: 99%}
  fast: {ttft: 2s, itl: 5ms, attainment: 99%}
pools:
"""
SLOW = (
    "{itl_base: 12ms, itl_per_request: 0.8ms, prefill_base: 5ms, prefill_per_token: 0.2ms, "
    "max_batch: 64}"
)
QUICK = (
    "{itl_base: 1ms, itl_per_request: 0.1ms, prefill_base: 2ms, prefill_per_token: 0.02ms, "
    "max_batch: 128}"
)
GAIN = "{economic: 15%, performance: 30%, held_for: 0s, min_utilisation: 20%}"
CHAT, FAST = 0, 1
AT = 600.0


def pool(name: str, role: str, price: float, profile: str, **more: str) -> str:
    extra = "".join(f"    {key}: {value}\n" for key, value in more.items())
    replicas = "" if "replicas" in more else "    replicas: {min: 0, max: 20}\n"
    if role == "accelerator" and "advantage" not in more:
        extra += f"    advantage: {GAIN}\n"
    return (
        f"  - name: {name}\n    role: {role}\n    provider: {{simulated: {{pool: {name}}}}}\n"
        f"    price: {price} USD/h\n    startup: 60s\n    profile: {profile}\n{replicas}{extra}"
    )


GPU = pool("gpu", "default", 4.0, SLOW)
WSE = pool("wse", "accelerator", 10.0, QUICK)
TRIGGERS = "triggers:\n  - {name: meet, slo: chat}\n"


class Fleet:
    """A planner with the pools of a rule file, asked block after block."""

    def __init__(self, *pools: str, triggers: str = TRIGGERS, limits: str = "", **rates) -> None:
        text = HEAD + "".join(pools) + triggers + limits
        (self.service,) = load_sources({"chat.yaml": text}).services
        self.planner = Planner()
        self.pools = {rule.name: PoolLearner(rule) for rule in self.service.pools}
        self.demand = Demand()
        self.demand.advance(0.0)
        self.demand.advance(AT)
        for number, rate in ((CHAT, rates.get("chat", 20)), (FAST, rates.get("fast", 0))):
            at = np.repeat(np.arange(AT + 1), rate)
            self.demand.arrived(at, np.full(len(at), number), np.full(len(at), 500.0))
            if rate:
                self.demand.of(number).answered(np.full(10, 500.0), np.full(10, 100.0))
        self.demand.hear(np.arange(AT + 1))

    def plan(self, at: float = AT, most: dict[str, int] | None = None, **ready: int) -> Plan:
        names = {CHAT: "chat", FAST: "fast"}
        return self.planner.plan(
            self.service,
            self.demand,
            self.pools,
            {number: names[number] for number in sorted(self.demand.classes)},
            {name: PoolReport(name, at, count, count) for name, count in ready.items()},
            {rule.name: rule.max_replicas for rule in self.service.pools} | (most or {}),
            at,
        )


def advantage(plan: Plan, name: str = "wse") -> Advantage:
    found = plan[name].advantage
    assert found is not None
    return found


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

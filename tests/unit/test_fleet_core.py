"""What is shared, through the whole core: who moves when, and who counts without being moved."""

from poolwright.decision import new_state, step
from poolwright.model.decision import Reason
from poolwright.model.pool import PoolReport
from poolwright.model.tick import Tick
from poolwright.rulefiles import load_sources

TEXT = """
apiVersion: poolwright/v1
service: {name}
mode: {mode}
pools:
  - name: {name}-pool
    provider: {{simulated: {{}}}}
    replicas: {{min: 1, max: 9}}
    price: 10 USD/h
triggers:
  - {{name: wish, when: "hour >= 0", set: {wish}}}
limits:
  down: {{step: 1, per: 10s, stabilise: 5m}}
"""
SHARED = """
apiVersion: poolwright/v1
kind: Fleet
budget: 60 USD/h
services: {high: {priority: 10}}
"""


def sources(mode: str = "act") -> dict[str, str]:
    return {
        "fleet.yaml": SHARED,
        "high.yaml": TEXT.format(name="high", wish=5, mode="act"),
        "low.yaml": TEXT.format(name="low", wish=5, mode=mode),
    }


def reports(at: float, low: int, high: int) -> tuple[PoolReport, ...]:
    return (PoolReport("low-pool", at, low, low), PoolReport("high-pool", at, high, high))


def test_a_full_budget_is_no_deadlock() -> None:
    """The lower priority makes room one step at a time; at no instant is too much in use."""
    rules = load_sources(sources())
    state, counts = new_state(), {"low-pool": 4, "high-pool": 2}
    seen = []
    for second in range(60):
        at = 1000.0 + second
        tick = Tick(at, rules, pools=reports(at, counts["low-pool"], counts["high-pool"]))
        state, decisions = step(state, tick)
        for decision in decisions:
            if decision.acts:
                counts[decision.pool] = decision.desired
                seen.append((decision.pool, decision.desired, str(decision.reason)))
        assert sum(counts.values()) <= 6
    assert seen == [
        move
        for low, high in ((3, 3), (2, 4), (1, 5))
        for move in (("low-pool", low, "fleet_budget"), ("high-pool", high, "proposed"))
    ]


def test_advised_services_count_and_are_not_moved() -> None:
    rules = load_sources(sources("advise"))
    state = new_state()
    for second in range(30):
        at = 1000.0 + second
        state, decisions = step(state, Tick(at, rules, pools=reports(at, 4, 2)))
        assert not any(decision.acts for decision in decisions)
    assert state.memories["high-pool"].recorded is not None
    assert state.memories["high-pool"].recorded.reason == Reason.FLEET_BUDGET


def test_pools_of_another_instance_count_with_what_they_have() -> None:
    rules = load_sources(sources())
    state = new_state()
    for second in range(3):
        at = 1000.0 + second
        tick = Tick(at, rules, pools=reports(at, 4, 1), owned=frozenset({"high"}))
        state, decisions = step(state, tick)
        wanted = [d.desired for d in decisions if d.acts]
        assert wanted == ([2] if second == 0 else [])


def test_nobody_grows_beyond_its_minimum_into_what_an_unknown_pool_may_have() -> None:
    rules = load_sources(sources())
    report = PoolReport("high-pool", 1000.0, 0, 0)
    _, decisions = step(new_state(), Tick(1000.0, rules, pools=(report,)))
    (high,) = (d for d in decisions if d.pool == "high-pool")
    assert (high.desired, high.limits[-1].limit) == (1, Reason.FLEET_BUDGET)

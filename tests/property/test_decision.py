"""The daemon's promises 1, 2 and 6, and no flapping, on the pure core with any input."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.decision import PoolMemory, decide_again, decide_pool
from poolwright.decision.memory import decode_memory, encode_memory
from poolwright.model.decision import Decision, Outcome, PoolInputs, ReplicaLoad
from poolwright.model.pool import PoolReport
from poolwright.model.rule import (
    Amount,
    Change,
    Condition,
    DirectionLimit,
    Limits,
    Mode,
    PoolRole,
    PoolRule,
    ServiceRule,
    SignalRule,
    TargetTrigger,
    ThresholdTrigger,
)
from poolwright.model.signal import Signal, SignalStatus, Unhealthy
from poolwright.model.tick import Health


def over(limit: float) -> Condition:
    return Condition(
        f"load > {limit}",
        frozenset({"load"}),
        lambda values: values["load"] > limit if "load" in values else None,
    )


def service(
    mode: Mode = Mode.ACT, *, limits: Limits | None = None, low: int = 1, high: int = 20
) -> ServiceRule:
    pool = PoolRule("gpu", PoolRole.DEFAULT, "simulated", {}, low, high, price_usd_per_hour=4.0)
    return ServiceRule(
        service="chat",
        mode=mode,
        classes=(),
        pools=(pool,),
        signals=(SignalRule("load", "requests_running", "avg", 30.0, "sum"),),
        triggers=(
            ThresholdTrigger("pressure", over(100.0), Change.ADD, Amount(0, 0.5), for_s=2.0),
            TargetTrigger("concurrency", "load", 10.0),
        ),
        limits=limits
        or Limits(
            DirectionLimit(Amount(4, 1.0), 15.0),
            DirectionLimit(Amount(1), 20.0, stabilise_s=30.0),
            budget_usd_per_hour=60.0,
        ),
    )


def load_signal(value: float | None, why: Unhealthy = Unhealthy.NO_QUORUM) -> Signal:
    if value is None:
        return Signal("load", SignalStatus.MISSING, None, None, 0, why=why)
    return Signal("load", SignalStatus.FRESH, value, 1.0, 3, 3, 3)


def inputs(at: float, report: PoolReport | None, signal: Signal, health: Health) -> PoolInputs:
    return PoolInputs(at, "r1", "chat", "gpu", report, (signal,), health)


class Pool:
    """A pool whose provider obeys: replicas start after `startup_s`."""

    def __init__(self, count: int, startup_s: float) -> None:
        self.ready = count
        self.pending: list[float] = []
        self.startup_s = startup_s

    @property
    def count(self) -> int:
        return self.ready + len(self.pending)

    def report(self, at: float) -> PoolReport:
        self.ready += sum(t <= at for t in self.pending)
        self.pending = [t for t in self.pending if t > at]
        return PoolReport("gpu", at, self.count, self.ready, len(self.pending))

    def obey(self, decision: Decision, at: float) -> None:
        while self.count < decision.desired:
            self.pending.append(at + self.startup_s)
        while self.count > decision.desired and self.pending:
            self.pending.pop()
        self.ready = min(self.ready, decision.desired)


loads = st.one_of(st.none(), st.floats(0, 400))
steps = st.lists(
    st.tuples(st.sampled_from([1.0, 5.0, 30.0]), loads, st.booleans(), st.booleans()),
    min_size=1,
    max_size=60,
)


def run(rule: ServiceRule, pool: Pool, script) -> list[tuple[float, int, Decision | None]]:
    memory = PoolMemory()
    at = 1000.0
    history = []
    for wait_s, load, behind, failed in script:
        at += wait_s
        data = inputs(at, pool.report(at), load_signal(load), Health(behind, failed))
        memory, decision = decide_pool(rule, rule.pools[0], data, memory)
        memory = decode_memory(encode_memory(memory))
        if decision is not None and decision.acts:
            pool.obey(decision, at)
        history.append((at, pool.count, decision))
    return history


@given(steps, st.integers(1, 20), st.sampled_from([0.0, 60.0, 180.0]))
@settings(max_examples=150, deadline=None)
def test_bounds_steps_and_budget_hold(script, start, startup_s) -> None:
    rule = service()
    history = run(rule, Pool(start, startup_s), script)
    told = [(1000.0, start), *((at, count) for at, count, _ in history)]
    for i, (at, count) in enumerate(told):
        assert 1 <= count <= 20
        assert count * 4.0 <= max(60.0, start * 4.0)
        for earlier, before in told[: i + 1]:
            if at - earlier < 15.0:
                assert count <= before + max(4, before)
            if at - earlier < 20.0:
                assert count >= before - 1


@given(steps, st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_nothing_scales_down_on_what_is_not_known(script, start) -> None:
    history = run(service(), Pool(start, 60.0), script)
    for (_, load, behind, failed), (_, _, decision) in zip(script, history, strict=True):
        if decision is not None and (load is None or behind or failed):
            assert decision.outcome is not Outcome.SCALE_DOWN


@given(steps, st.integers(1, 20), st.sampled_from([Mode.ADVISE, Mode.PAUSED]))
@settings(max_examples=100, deadline=None)
def test_advised_and_paused_pools_are_left_alone(script, start, mode) -> None:
    history = run(service(mode), Pool(start, 60.0), script)
    assert all(count == start for _, count, _ in history)
    assert not any(decision.acts for _, _, decision in history if decision is not None)
    if mode is Mode.PAUSED:
        assert all(d.desired == d.current for _, _, d in history if d is not None)


@given(st.floats(0, 190), st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_a_constant_load_never_makes_a_pool_go_back_and_forth(load, start) -> None:
    script = [(5.0, load, False, False)] * 400
    counts = [count for _, count, _ in run(service(), Pool(start, 60.0), script)]
    changes = [b - a for a, b in pairwise(counts) if a != b]
    assert all(change > 0 for change in changes) or all(change < 0 for change in changes)
    assert counts[-1] >= math.floor(min(load, 150.0) / 10 / 1.1)


@given(st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_no_runaway_while_replicas_start(start) -> None:
    """A pressure that lasts through a slow start asks for one addition, not one a tick."""
    rule = service()
    rule = replace(rule, triggers=rule.triggers[:1])
    script = [(1.0, 150.0, False, False)] * 100
    history = run(rule, Pool(start, 600.0), script)
    assert history[-1][1] == start + math.ceil(start / 2)


@given(steps, st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_every_decision_is_decided_again_from_its_record(script, start) -> None:
    rule = service()
    for _, _, decision in run(rule, Pool(start, 60.0), script):
        if decision is not None:
            assert decide_again(rule, decision) == decision


busyness = st.one_of(st.just(0.0), st.floats(0, 50))
told = st.builds(
    ReplicaLoad,
    st.sampled_from([f"gpu-{i}" for i in range(8)]),
    st.just(0.0),
    busyness,
    busyness,
    st.one_of(st.none(), st.floats(0, 1)),
)
reporting = st.lists(told, max_size=8, unique_by=lambda load: load.replica)


@given(steps, st.integers(1, 20), st.lists(reporting, min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_only_replicas_that_go_are_named_and_so_again(script, start, reports) -> None:
    """None has less to do than those named but what was told to go before."""
    rule, pool, memory, at = service(), Pool(start, 60.0), PoolMemory(), 1000.0
    for number, (wait_s, load, behind, failed) in enumerate(script):
        at += wait_s
        known = reports[number % len(reports)]
        data = inputs(at, pool.report(at), load_signal(load), Health(behind, failed))
        before = {name for left in memory.leaving for name in left.replicas}
        memory, decision = decide_pool(rule, rule.pools[0], data, memory, lambda known=known: known)
        memory = decode_memory(encode_memory(memory))
        if decision is None:
            continue
        assert decide_again(rule, decision) == decision
        named = set(decision.drain)
        assert len(named) == len(decision.drain) <= max(0, decision.current - decision.desired)
        if decision.outcome is Outcome.SCALE_DOWN:
            work = {x.replica: x.running + x.waiting for x in known}
            spared = [work[name] for name in set(work) - named - before]
            assert all(work[name] <= min(spared, default=math.inf) for name in named)
        else:
            assert not named
        if decision.acts:
            pool.obey(decision, at)


def test_missing_is_named_and_zero_is_not_missing() -> None:
    rule = service()
    report = PoolReport("gpu", 1000.0, 5, 5)
    gone = inputs(1000.0, report, load_signal(None), Health())
    _, decision = decide_pool(rule, rule.pools[0], gone, PoolMemory())
    assert decision is not None
    assert (decision.outcome, decision.reason) == (Outcome.BLOCKED, "telemetry_unhealthy")
    zero = inputs(1000.0, report, load_signal(0.0), Health())
    _, decision = decide_pool(rule, rule.pools[0], zero, PoolMemory(observed_since=0.0))
    assert decision is not None
    assert (decision.outcome, decision.desired) == (Outcome.SCALE_DOWN, 4)


@pytest.mark.parametrize("mode", list(Mode))
def test_the_minimum_is_reached_without_any_telemetry(mode) -> None:
    rule = service(mode, low=3)
    data = inputs(1.0, PoolReport("gpu", 1.0, 0, 0), load_signal(None), Health())
    _, decision = decide_pool(rule, rule.pools[0], data, PoolMemory())
    assert decision is not None
    assert decision.desired == (0 if mode is Mode.PAUSED else 3)

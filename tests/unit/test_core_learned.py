"""Services that learn: what `step` feeds and asks, what a restart and other rules keep."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from poolwright.decision import PoolMemory, decide_pool, dump_state, load_state, new_state, step
from poolwright.decision.seeing import plan_of
from poolwright.model.assessment import Advantage, Basis
from poolwright.model.decision import Outcome, PoolInputs, Reason
from poolwright.model.pool import ActionReport, ActionStatus, PoolReport
from poolwright.model.rule import SloTrigger
from poolwright.model.signal import Unhealthy
from poolwright.model.tick import Health, Tick
from poolwright.rulefiles import load_sources
from poolwright.telemetry.decoder import Decoder

TEXT = """
apiVersion: poolwright/v1
service: chat
classes:
  interactive: {ttft: 2s, itl: 50ms, attainment: 99%}
  batch: {e2e: 10m, attainment: 95%}
pools:
  - name: gpu
    role: default
    provider: {simulated: {pool: gpu}}
    replicas: {min: 1, max: 9}
    price: 20 USD/h
    startup: 60s
  - name: wafer
    role: accelerator
    provider: {simulated: {pool: wafer}}
    replicas: {min: 0, max: 2}
    price: 90 USD/h
    lease: 1h
    serves: [interactive]
    profile:
      itl_base: 0.5ms
      itl_per_request: 0.004ms
      prefill_base: 1ms
      prefill_per_token: 0.004ms
      max_batch: 128
    advantage: {economic: 15%, performance: 30%, held_for: 10m, min_utilisation: 60%}
triggers:
  - {name: fast, slo: interactive}
  - {name: bulk, slo: batch}
  - {name: small, when: "ready > 90", add: 1}
"""
RULES = load_sources({"chat.yaml": TEXT})
PLAIN = load_sources({"chat.yaml": TEXT.split("triggers:", maxsplit=1)[0] + "triggers: []\n"})
START = 1_000_000.0


def telemetry(state, at: float, count: int = 20):
    """So many arrivals, ended requests and gauges of the second before `at`."""
    events: list[dict] = []
    for i in range(count):
        time = at - 1 + (i + 0.5) / count
        common = {"at": time, "service": "chat", "class": "interactive"}
        events += [
            {"type": "arrival", "input_tokens": 500, **common},
            {
                "type": "request", "pool": "gpu", "replica": "r", "input_tokens": 500,
                "output_tokens": 100, "ttft_s": 0.1, "itl_s": 0.02, "e2e_s": 2.1, **common,
            },
        ]  # fmt: skip
    gauge = {"type": "replica", "at": at, "service": "chat", "pool": "gpu", "replica": "r"}
    events.append(gauge | {"running": 20, "waiting": 0})
    values = [json.dumps(event).encode() for event in events]
    return Decoder(state.names, None).decode(values, now=None, places=None)[0]


def run(state, seconds: int, *, rules=RULES, start: float = START, **tick):
    decisions = []
    for second in range(1, seconds + 1):
        at = start + second
        reports = (PoolReport("gpu", at, 3, 3), PoolReport("wafer", at, 0, 0))
        found = Tick(at, rules, (telemetry(state, at),), reports, **tick)
        state, made = step(state, found)
        decisions += made
    return state, decisions


def test_what_is_learned_is_in_the_decision_of_its_pool() -> None:
    _, decisions = run(new_state(), 31)
    gpu = [d for d in decisions if d.pool == "gpu"][-1]
    (fast, bulk) = gpu.inputs.assessments
    assert (fast.trigger, fast.request_class) == ("fast", "interactive")
    assert fast.demand_per_s == pytest.approx(20.0, rel=0.2)
    assert bulk.request_class == "batch"
    assert fast.capacity.requests > 0
    wafer = [d for d in decisions if d.pool == "wafer"][-1]
    assert [found.trigger for found in wafer.inputs.assessments] == ["fast"]
    assert wafer.desired == 0


def test_a_restart_forgets_nothing_that_was_learned() -> None:
    state, _ = run(new_state(), 20)
    loaded = load_state(dump_state(state))
    assert loaded.unused
    assert load_state(dump_state(loaded)).unused == loaded.unused
    _, decisions = step(loaded, Tick(START + 20.0, RULES))
    assert {d.pool for d in decisions} <= {"gpu", "wafer"}
    mine, theirs = state.learners["chat"], loaded.learners["chat"]
    assert theirs.pools["gpu"].speed.requests == mine.pools["gpu"].speed.requests > 0
    assert theirs.pools["gpu"].speed.speed == mine.pools["gpu"].speed.speed
    assert theirs.demand.newest == mine.demand.newest


def test_rules_that_learn_no_more_forget_and_others_keep() -> None:
    state, _ = run(new_state(), 3)
    known = state.learners["chat"]
    state, _ = step(state, Tick(START + 4, replace(RULES, revision="edited")))
    assert state.learners["chat"] is known
    state, decisions = step(state, Tick(START + 5, PLAIN))
    assert state.learners == {}
    assert all(d.inputs.assessments == () for d in decisions)


def test_a_pool_without_stock_or_report_is_planned_as_it_is() -> None:
    state, _ = run(new_state(), 5)
    state.memories["gpu"] = replace(state.memories["gpu"], stock_until=START + 500.0)
    state, decisions = run(state, 31, start=START + 5)
    assert [d for d in decisions if d.pool == "gpu"]
    # 121 s later no report is believed any more.
    state, decisions = step(state, Tick(START + 200.0, RULES))
    assert {d.reason for d in decisions} == {Reason.UNKNOWN_POOL}


def test_replicas_that_the_provider_says_do_not_come_are_not_planned_with() -> None:
    (service,) = RULES.services
    asked = {}

    def plan(_, reports, most, at):
        asked.update(reports=reports, most=most, at=at)
        return {}

    state, _ = run(new_state(), 1)
    state.learners["chat"] = SimpleNamespace(plan=plan)
    state.reports["gpu"] = PoolReport("gpu", START, 6, 4, 2, short="no p5.48xlarge left")
    assert plan_of(state, service, START + 1.0) == {}
    assert (asked["reports"]["gpu"].starting, asked["most"]["gpu"]) == (0, 4)
    state.reports["gpu"] = replace(state.reports["gpu"], short="")
    plan_of(state, service, START + 1.0)
    assert (asked["reports"]["gpu"].starting, asked["most"]["gpu"]) == (2, 9)


def test_an_slo_is_of_the_pools_that_serve_its_class() -> None:
    (service,) = RULES.services
    gpu, wafer = service.pools
    assert [t.name for t in service.triggers_of(gpu)] == ["fast", "bulk", "small"]
    assert [t.name for t in service.triggers_of(wafer)] == ["fast"]
    everything = replace(wafer, serves=())
    assert [t.name for t in service.triggers_of(everything)] == ["fast", "bulk"]
    mine = replace(service, triggers=(SloTrigger("t", "batch", "wafer"),))
    assert [len(mine.triggers_of(pool)) for pool in (gpu, wafer)] == [0, 1]


@pytest.mark.parametrize(
    ("found", "reason", "desired"),
    [
        (None, Reason.NO_ADVANTAGE, 1),
        ((False, "too dear by 20%"), Reason.NO_ADVANTAGE, 1),
        ((True, "cheaper by 20%"), Reason.PROPOSED, 2),
    ],
)
def test_an_accelerator_grows_only_with_its_advantage(found, reason, desired) -> None:
    (service,) = load_sources({"chat.yaml": TEXT.replace("ready > 90", "ready < 90")}).services
    wafer = service.pools[1]
    small = replace(service.triggers[2], pool="wafer")
    service = replace(service, triggers=(small,))
    advantage = found and Advantage(
        "wafer", found[0], "economic", found[1], 0.2, 0.15, 0.7, 0.6, 700.0, 600.0,
        Basis.DECLARED, Basis.MEASURED, (),
    )  # fmt: skip
    _, decisions = step(new_state(), Tick(1.0, RULES, pools=(PoolReport("wafer", 1.0, 1, 1),)))
    signals = next(d for d in decisions if d.pool == "wafer").inputs.signals
    inputs = PoolInputs(
        1.0,
        "r",
        "chat",
        "wafer",
        PoolReport("wafer", 1.0, 1, 1),
        signals,
        Health(),
        advantage=advantage,
    )
    _, decision = decide_pool(service, wafer, inputs, PoolMemory(observed_since=0.0))
    assert decision is not None
    assert (decision.reason, decision.desired) == (reason, desired)
    if found and not found[0]:
        assert decision.limits[0].detail == "too dear by 20%"


def test_a_number_that_is_lacking_blocks_scaling_down_where_others_wish_it() -> None:
    text = (
        TEXT.split("triggers:", maxsplit=1)[0]
        + """signals:
  load: {metric: requests_running, across: sum, stat: last, window: 30s}
triggers:
  - {name: high, when: "load > 90", add: 1}
  - {name: least, when: "ready > 1", remove: 1}
"""
    )
    rules = load_sources({"chat.yaml": text})
    _, decisions = step(new_state(), Tick(1.0, rules, pools=(PoolReport("gpu", 1.0, 3, 3),)))
    gpu = next(d for d in decisions if d.pool == "gpu")
    assert (gpu.outcome, gpu.reason) == (Outcome.BLOCKED, Reason.TELEMETRY_UNHEALTHY)
    assert gpu.limits[0].detail == "no usable value of load"


def test_a_confirmed_action_changes_only_its_startups() -> None:
    state, decisions = step(new_state(), Tick(1.0, RULES, pools=(PoolReport("gpu", 1.0, 0, 0),)))
    up = next(d for d in decisions if d.pool == "gpu")
    done = ActionReport("gpu", up.id, 2.0, ActionStatus.CONFIRMED, up.desired, "", 61.0)
    before = state.memories["gpu"]
    state, _ = step(state, Tick(1.5, RULES, actions=(done,)))
    assert state.memories["gpu"].command == before.command
    assert state.memories["gpu"].startup_s == (61.0,)


def test_a_slope_of_requests_within_a_second_is_missing_not_a_number() -> None:
    text = (
        TEXT.split("triggers:", maxsplit=1)[0]
        + """signals:
  trend: {metric: ttft, stat: slope, window: 30s}
triggers:
  - {name: rising, when: "trend > 5", add: 1}
"""
    )
    rules = load_sources({"chat.yaml": text})
    _, decisions = run(new_state(), 1, rules=rules)
    trend = next(s for d in decisions for s in d.inputs.signals if s.name == "trend")
    assert (trend.value, trend.why, trend.samples) == (None, Unhealthy.NO_SAMPLES, 20)

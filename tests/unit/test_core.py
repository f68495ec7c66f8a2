"""The whole core: built-in signals, reports, several pools, ownership, contexts, restarts."""

import numpy as np
import pytest

from poolwright.controller import Controller
from poolwright.decision import dump_state, load_state, new_state, step
from poolwright.model.pool import ActionReport, ActionStatus, PoolReport
from poolwright.model.sample import SampleBatch, TraceContext
from poolwright.model.signal import SignalStatus
from poolwright.model.tick import Tick
from poolwright.rulefiles import load_sources
from poolwright.telemetry.decoder import Decoder

RULES = load_sources(
    {
        "chat.yaml": """
apiVersion: poolwright/v1
service: chat
pools:
  - name: a
    role: default
    provider: {simulated: {pool: a}}
    replicas: {min: 1, max: 9}
    price: 4 USD/h
  - name: b
    role: default
    provider: {simulated: {pool: b}}
    replicas: {min: 1, max: 9}
    price: 10 USD/h
signals:
  trend: {metric: requests_running, across: sum, stat: slope, window: 30s}
triggers:
  - name: everything
    when: >-
      hour > 30 || weekday > 9 || cost < 0 || ready < 0 || starting < 0 || desired < 0
      || demand < 0
    add: 1
  - {name: rising, when: "trend > 5", add: 1}
"""
    }
)
THURSDAY_NOON = 43200.0


def signals(decision):
    return {signal.name: signal for signal in decision.inputs.signals}


def test_built_in_signals_are_those_of_the_pool_and_the_clock() -> None:
    state = new_state()
    reports = (PoolReport("a", THURSDAY_NOON, 3, 2, 1), PoolReport("b", THURSDAY_NOON, 2, 2))
    state, decisions = step(state, Tick(THURSDAY_NOON, RULES, pools=reports))
    known = {name: signal.value for name, signal in signals(decisions[0]).items()}
    assert known == {
        "hour": 12.0,
        "weekday": 3.0,
        "cost": 32.0,
        "ready": 2.0,
        "starting": 1.0,
        "desired": 3.0,
        "demand": None,
        "trend": None,
    }
    assert decisions[0].inputs.other_cost_usd_per_hour == 20.0


def test_an_old_report_is_not_believed_and_an_older_one_does_not_replace_a_newer() -> None:
    state = new_state()
    new, old = PoolReport("a", 1000.0, 3, 3), PoolReport("a", 990.0, 7, 7)
    state, _ = step(state, Tick(1000.0, RULES, pools=(new, old)))
    assert state.reports["a"] == new
    state, decisions = step(state, Tick(1121.0, RULES))
    assert {d.reason for d in decisions} == {"unknown_pool"}
    assert signals(decisions[0])["ready"].status is SignalStatus.MISSING
    assert decisions[0].current == 3


def test_a_slope_of_one_sample_is_missing_not_a_number() -> None:
    state = new_state()
    decoder = Decoder(state.names, None)
    event = (
        b'{"type":"replica","at":1000,"service":"chat","pool":"a","replica":"r","running":3,'
        b'"waiting":0}'
    )
    batch, _ = decoder.decode([event], now=None, places=None)
    tick = Tick(1001.0, RULES, (batch,), (PoolReport("a", 1001.0, 1, 1),))
    state, decisions = step(state, tick)
    assert signals(decisions[0])["trend"].status is SignalStatus.MISSING


def test_services_of_others_are_left_alone() -> None:
    state = new_state()
    state, decisions = step(state, Tick(1.0, RULES, owned=frozenset({"other"})))
    assert decisions == ()


def test_contexts_wait_for_the_next_decision() -> None:
    state = new_state()
    report = PoolReport("a", 1.0, 1, 1), PoolReport("b", 1.0, 1, 1)
    state, _ = step(state, Tick(1.0, RULES, pools=report))
    empty, _ = Decoder(state.names, None).decode([], now=None, places=None)
    context = TraceContext("chat", "a" * 32, "b" * 16)
    batch = SampleBatch(
        empty.names, empty.arrivals, empty.requests, empty.replicas, contexts=(context,)
    )
    state, decisions = step(state, Tick(2.0, RULES, (batch,)))
    assert decisions == ()
    assert state.checks == 2
    state, decisions = step(state, Tick(32.0, RULES))
    assert decisions[0].inputs.contexts == (context,)


def test_actions_are_folded_and_the_state_survives_its_dump() -> None:
    state = new_state()
    state, decisions = step(state, Tick(1.0, RULES, pools=(PoolReport("a", 1.0, 0, 0),)))
    up = decisions[0]
    assert (up.pool, up.desired, up.reason) == ("a", 1, "bounds")
    gone = ActionReport("a", up.id, 2.0, ActionStatus.REFUSED, 1, "no_capacity")
    unknown = ActionReport("z", "x", 2.0, ActionStatus.DONE, 1)
    state = load_state(dump_state(state))
    state, decisions = step(state, Tick(2.0, RULES, actions=(gone, unknown)))
    assert (decisions[0].pool, decisions[0].reason) == ("a", "stock")


def test_a_controller_takes_batches_actions_and_other_rules() -> None:
    controller = Controller(RULES)
    batch, _ = Decoder(controller.names, None).decode([], now=None, places=None)
    assert controller.ingest([batch]) == 0
    foreign, _ = Decoder(new_state().names, None).decode([], now=None, places=None)
    with pytest.raises(ValueError, match="another name table"):
        controller.ingest([foreign])
    controller.acted(ActionReport("a", "x", 1.0, ActionStatus.DONE, 1))
    controller.health(ingest_behind=True)
    controller.use_rules(RULES)
    assert controller.rules is RULES
    assert len(controller.decide(1.0)) == 2
    assert controller.checks == 0


@pytest.mark.parametrize("size", [0, 3])
def test_the_newest_time_of_a_batch(size) -> None:
    names = new_state().names
    batch, _ = Decoder(names, None).decode(
        [b'{"type":"arrival","at":%d,"service":"chat"}' % (i + 1) for i in range(size)],
        now=None,
        places=None,
    )
    assert batch.newest_at == (None if size == 0 else 3.0)
    assert np.array_equal(batch.arrivals.at, np.arange(1.0, size + 1))
    assert len(names.names()) == len(names)

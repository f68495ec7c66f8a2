"""A service that comes to this instance scales down only after a stabilisation of its own."""

import msgspec
import pytest

from poolwright.decision import dump_state, load_state, new_state, step
from poolwright.model.decision import Outcome, Reason
from poolwright.model.pool import PoolReport
from poolwright.model.tick import Tick
from poolwright.rulefiles import load_sources
from poolwright.telemetry.decoder import Decoder

RULES = load_sources(
    {
        "chat.yaml": """
apiVersion: poolwright/v1
service: chat
pools:
  - {name: gpu, role: default, provider: {simulated: {}}, replicas: {min: 1, max: 9}}
signals:
  running: {metric: requests_running, across: sum, stat: last, window: 30s, quorum: 10%}
triggers:
  - {name: load, target: {signal: running, per_replica: 10}}
limits:
  down: {step: 1, per: 1s, stabilise: 60s}
"""
    }
)
MINE = frozenset({"chat"})


def tick(state, at: float, running: float, owned: frozenset[str] = MINE):
    event = {"type": "replica", "at": at, "service": "chat", "pool": "gpu", "replica": "r"}
    value = msgspec.json.encode({**event, "running": running})
    batch, _ = Decoder(state.names, MINE).decode([value], now=at, places=None)
    report = PoolReport("gpu", at, 4, 4)
    return step(state, Tick(at, RULES, (batch,), (report,), owned=owned))


def settled():
    """Four replicas, needed for two minutes."""
    state = new_state()
    for at in range(1000, 1120, 10):
        state, decisions = tick(state, at, 40.0)
        assert not any(d.acts for d in decisions)
    return state


def first_down(state, start: float) -> float:
    """Seconds from `start` until it scales down."""
    for at in range(int(start), int(start) + 200, 5):
        state, decisions = tick(state, at, 10.0)
        for decision in decisions:
            if decision.outcome is Outcome.SCALE_DOWN:
                return at - start
            assert decision.reason is Reason.STABILISING
    pytest.fail("never")


@pytest.mark.parametrize("restarted", [False, True], ids=["rebalanced", "restarted"])
def test_after_an_absence_stabilisation_begins_anew(restarted: bool) -> None:
    state = settled()
    if restarted:
        state = load_state(dump_state(state))
    else:
        for at in range(1120, 2000, 10):
            state, decisions = tick(state, at, 40.0, owned=frozenset())
            assert not decisions
    assert first_down(state, 2000) >= 60.0


def test_a_rebalance_of_seconds_resets_nothing() -> None:
    state = settled()
    for at in range(1120, 1160, 5):
        state, _ = tick(state, at, 10.0)
    state, _ = tick(state, 1165, 10.0, owned=frozenset())
    state = load_state(dump_state(state))
    # 40 of its 60 s were over, and the break counts as well.
    assert first_down(state, 1170) <= 10.0

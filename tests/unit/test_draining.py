"""Which replicas a scale-down names to go first, and that its record decides the same again."""

from dataclasses import replace

import msgspec
import pytest

from poolwright.controller import Controller
from poolwright.decision import PoolMemory, decide_again
from poolwright.decision.draining import least_loaded
from poolwright.decision.memory import LEAVING_S, decode_memory
from poolwright.model.decision import Decision, Outcome, ReplicaLoad
from poolwright.model.pool import ActionReport, ActionStatus
from poolwright.signals.store import WindowStore

RULES = """
apiVersion: poolwright/v1
service: chat
pools:
  - {name: gpu, role: default, provider: {simulated: {}}, replicas: {min: 1, max: 9}}
signals:
  running: {metric: requests_running, across: sum, stat: last, window: 10s}
triggers:
  - {name: concurrency, target: {signal: running, per_replica: 10}}
limits:
  down: {step: 4, per: 30s, stabilise: 0s}
"""
START = 1_700_000_000.0
Loads = dict[str, tuple[float | None, float | None, float | None]]
"""By replica: running, waiting, KV cache usage; None where it does not say."""


class Fleet:
    """A pool whose replicas report what the test says."""

    def __init__(self, rules: str = RULES) -> None:
        self.controller = Controller.from_sources({"chat.yaml": rules})

    def at(self, second: float, loads: Loads, ready: int) -> Decision | None:
        """The decision at START + second; the loads are reported a second before."""
        at = START + second
        for replica, told in loads.items():
            gauges = zip(("running", "waiting", "kv_cache_usage"), told, strict=True)
            event = {"type": "replica", "at": at - 1.0, "service": "chat", "pool": "gpu"}
            event |= {"replica": replica} | {name: v for name, v in gauges if v is not None}
            assert self.controller.ingest([event]) == 1
        self.controller.report("gpu", at=at, ready=ready)
        decisions = self.controller.decide(at)
        return decisions[0] if decisions else None

    def again(self, decision: Decision) -> Decision | None:
        """From its record, as the journal keeps it."""
        stored = msgspec.json.decode(msgspec.json.encode(decision), type=Decision)
        return decide_again(self.controller.rules.services[0], stored)


def busy(*requests: float) -> Loads:
    return {f"r{i}": (count, 0.0, 0.5) for i, count in enumerate(requests)}


def test_fewest_requests_then_emptiest_cache_then_name() -> None:
    loads = [
        ReplicaLoad("e", 0.0, 3.0, 1.0, 0.1),
        ReplicaLoad("d", 0.0, 3.0, 0.0, None),
        ReplicaLoad("c", 0.0, 1.0, 2.0, 0.2),
        ReplicaLoad("b", 0.0, 3.0, 0.0, 0.2),
        ReplicaLoad("a", 0.0, 3.0, 0.0, 0.9),
    ]
    named = [load.replica for load in least_loaded(loads, PoolMemory(), 9)]
    assert named == ["b", "c", "a", "d", "e"]
    assert least_loaded(loads, PoolMemory(), 2) == (loads[3], loads[2])


def test_a_scale_down_names_as_many_as_go_and_decides_so_again() -> None:
    fleet = Fleet()
    decision = fleet.at(0, busy(9, 2, 5, 1, 8), ready=5)
    assert decision is not None
    assert (decision.outcome, decision.current, decision.desired) == ("scale_down", 5, 3)
    assert decision.drain == ("r3", "r1")
    first = decision.inputs.least_loaded[0]
    assert first == ReplicaLoad("r3", START - 1.0, 1.0, 0.0, 0.5)
    assert fleet.again(decision) == decision


def test_what_is_not_known_is_never_first() -> None:
    fleet = Fleet()
    fleet.at(0, {"silent": (0.0, 0.0, 0.0)}, ready=6)
    known: Loads = {"r1": (9.0, 0.0, 0.1), "r2": (8.0, 0.0, None), "mute": (0.0, None, 0.0)}
    decision = fleet.at(40, known | {"r3": (9.0, 0.0, 0.0)}, ready=6)
    assert decision is not None
    assert (decision.outcome, decision.current - decision.desired) == ("scale_down", 3)
    assert decision.drain == ("r2", "r3", "r1")
    assert fleet.again(decision) == decision


def test_where_no_replica_says_what_it_has_to_do_none_is_named() -> None:
    fleet = Fleet()
    decision = fleet.at(0, {"r1": (2.0, None, None), "r2": (2.0, None, None)}, ready=2)
    assert decision is not None
    assert (decision.outcome, decision.drain) == ("scale_down", ())
    assert fleet.again(decision) == decision


def test_only_what_scales_down_asks_for_the_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = WindowStore.newest_gauges

    def counted(store: WindowStore, service: str, pool: str, at: float):
        asked.append(at - START)
        return real(store, service, pool, at)

    monkeypatch.setattr(WindowStore, "newest_gauges", counted)
    fleet = Fleet()
    up = fleet.at(0, busy(15, 15), ready=2)
    assert up is not None
    assert (up.outcome, up.drain, up.inputs.least_loaded) == ("scale_up", (), ())
    assert fleet.at(10, busy(15, 15, 0), ready=3).outcome == "hold"
    assert fleet.at(11, busy(15, 15, 0), ready=3) is None
    assert asked == []
    assert fleet.at(60, busy(3, 4, 1), ready=3).drain == ("r2", "r0")
    assert asked == [60]
    advised = Fleet(RULES.replace("service: chat", "service: chat\nmode: advise"))
    advice = advised.at(0, busy(1, 1), ready=2)
    assert advice is not None
    assert (advice.outcome, advice.desired, advice.drain) == (Outcome.ADVISE, 1, ())
    assert asked == [60]


def test_a_replica_that_ends_its_requests_is_not_named_twice() -> None:
    fleet = Fleet()
    first = fleet.at(0, busy(9, 9, 1, 8), ready=4)
    assert first is not None
    assert (first.desired, first.drain) == (3, ("r2",))
    second = fleet.at(40, busy(9, 4, 1, 3), ready=3)
    assert second is not None
    assert (second.desired, second.drain) == (2, ("r3",)), "r2 still reports, and is going"
    assert fleet.again(second) == second
    restored = Fleet()
    restored.controller.restore(fleet.controller.dump())
    third = restored.at(80, busy(3, 4, 0, 0), ready=2)
    assert third is not None
    assert (third.desired, third.drain) == (1, ("r0",))
    assert restored.again(third) == third


def test_a_replica_that_was_not_let_go_after_all_is_named_again() -> None:
    fleet = Fleet()
    first = fleet.at(0, busy(6, 1), ready=2)
    assert first is not None
    assert first.drain == ("r1",)
    fleet.controller.acted(
        ActionReport("gpu", first.id, START + 1, ActionStatus.REFUSED, 1, "changed_outside")
    )
    second = fleet.at(60, busy(6, 1), ready=2)
    assert second is not None
    assert (second.outcome, second.drain) == ("scale_down", ("r1",))


@pytest.mark.parametrize(
    ("status", "cause", "named"),
    [
        (ActionStatus.GIVEN_UP, "deadline", ("r1",)),
        (ActionStatus.GIVEN_UP, "not_ready_in_time", ("r0",)),
        (ActionStatus.CONFIRMED, "", ("r0",)),
    ],
)
def test_what_the_provider_may_have_let_go_is_going(status, cause, named) -> None:
    fleet = Fleet()
    first = fleet.at(0, busy(6, 1), ready=2)
    assert first is not None
    fleet.controller.acted(ActionReport("gpu", first.id, START + 1, status, 1, cause))
    second = fleet.at(60, busy(6, 1), ready=2)
    assert second is not None
    assert (second.outcome, second.drain) == ("scale_down", named)


def test_who_still_reports_after_ten_minutes_was_never_let_go() -> None:
    fleet = Fleet()
    assert fleet.at(0, busy(7, 7, 1), ready=3).drain == ("r2",)
    assert fleet.at(LEAVING_S - 60.0, busy(3, 4, 1), ready=2).drain == ("r0",)
    decision = fleet.at(LEAVING_S + 1.0, busy(3, 4, 1), ready=2)
    assert decision is not None
    assert decision.drain == ("r2",)
    assert fleet.again(decision) == decision
    memory = decode_memory(decision.memory)
    assert [left.replicas for left in memory.leaving] == [("r2",), ("r0",)]
    later = fleet.at(LEAVING_S + 40.0, busy(3, 4, 1), ready=2)
    assert later is not None
    assert [left.replicas for left in decode_memory(later.memory).leaving] == [("r0",), ("r2",)]


def test_memory_of_before_names_were_kept_is_read() -> None:
    memory = msgspec.to_builtins(replace(PoolMemory(), failures=2))
    del memory["leaving"]
    assert decode_memory(msgspec.json.encode(memory)) == PoolMemory(failures=2)

"""The table of names forgets those that nobody uses, and never mixes two up."""

import msgspec
import pytest

from poolwright.controller import Controller
from poolwright.model import names as module
from poolwright.model.names import NameTable

RULES = """
apiVersion: poolwright/v1
service: chat
classes:
  chat: {e2e: 10s, attainment: 95%}
pools:
  - {name: gpu, role: default, provider: {simulated: {pool: gpu}}, replicas: {min: 1, max: 9}}
signals:
  busy: {metric: requests_running, across: avg, stat: avg, window: 30s}
  first: {metric: ttft, stat: p95, window: 1m}
triggers:
  - {name: many, when: "busy > 6", for: 10s, add: 1}
  - {name: slow, when: "first > 0.5", for: 10s, add: 1}
"""

LEARNED = RULES + "  - {name: meet-slo, slo: chat}\n"


@pytest.fixture
def small(monkeypatch) -> None:
    monkeypatch.setattr(module, "LEAST", 32)
    monkeypatch.setattr(module, "REUSE", 40)
    monkeypatch.setattr(module, "WAIT_S", 60.0)


def swept(table: NameTable, used: set[int], at: float) -> NameTable:
    table.sweep(used, at)
    assert not table.to_sweep(at + module.WAIT_S - 1.0)
    assert table.to_sweep(at + module.WAIT_S)
    table.sweep(used, at + module.WAIT_S)
    return table


def test_what_is_in_use_keeps_its_number_and_the_rest_is_forgotten() -> None:
    table = NameTable(("a", "b", "c"))
    swept(table, {0, 2}, 100.0)
    assert [table.find(name) for name in "abc"] == [0, None, 2]
    assert (table.names(), table.name(1), len(table)) == (("a", None, "c"), "", 2)
    assert table.intern("b") == 3, "a number that somebody may still hold means nothing else"


def test_a_candidate_is_known_and_stays_when_it_is_told_again() -> None:
    table = NameTable(("a", "b", "c"))
    table.sweep({0}, 100.0)
    assert [table.find(name) for name in "abc"] == [0, 1, 2]
    assert table.intern_all(["a", "b"]) == [0, 1]
    # Its samples may be on their way, so that nothing uses it yet.
    table.sweep({0}, 100.0 + module.WAIT_S)
    assert table.names() == ("a", "b", None)


def test_a_candidate_that_is_in_use_in_the_end_stays() -> None:
    table = NameTable(("a", "b"))
    table.sweep({0}, 100.0)
    table.sweep({0, 1}, 100.0 + module.WAIT_S)
    assert table.intern_all(["b", "a"]) == [1, 0]


def test_it_is_time_when_there_are_twice_as_many(small) -> None:
    table = NameTable(tuple(str(n) for n in range(40)))
    assert table.to_sweep(0.0)
    swept(table, set(range(20)), 0.0)
    for n in range(19):
        table.intern(f"new {n}")
        assert not table.to_sweep(1e9)
    table.intern("one more")
    assert table.to_sweep(1e9)


def test_numbers_are_used_again_the_longest_forgotten_first(small) -> None:
    table = NameTable(tuple(str(n) for n in range(50)))
    swept(table, set(range(8)), 0.0)
    assert [table.intern(f"new {n}") for n in range(4)] == [8, 9, 50, 51]


def test_a_loaded_table_goes_on_alike(small) -> None:
    table = NameTable(tuple(str(n) for n in range(50)))
    swept(table, set(range(8)), 0.0)
    table.intern("x")
    table.sweep({0}, 500.0)
    loaded = NameTable(table.names(), table.sweeping)
    for one in (table, loaded):
        one.intern("3")
        one.sweep({0}, 560.0)
        one.intern_all(["4", "y", "z"])
    assert loaded.names() == table.names()
    assert loaded.sweeping == table.sweeping


def driven(
    minutes: int, *, text: str = RULES, restart_every: int = 10**9
) -> tuple[Controller, list[bytes]]:
    """Each minute three replicas under new names; one of them is back ten minutes later."""
    controller = Controller.from_sources({"chat.yaml": text})
    decisions = []
    for second in range(0, 60 * minutes, 5):
        at, minute = 1_700_000_000.0 + second, second // 60
        controller.report("gpu", at=at, ready=3)
        events = []
        for n in range(3):
            name = f"gpu-{minute}-{n}" if n else f"gpu-{minute - minute // 10 % 2 * 10}-0"
            common = {"at": at, "service": "chat", "pool": "gpu", "replica": name}
            events += [
                {"type": "replica", **common, "running": (minute * 7 + n) % 11, "waiting": 0},
                {"type": "request", **common, "class": ("chat", f"k{minute}")[n % 2],
                 "e2e_s": 2.0 + n, "ttft_s": minute % 13 / 12,
                 "output_tokens": 9, "input_tokens": 9, "status": "ok"},
            ]  # fmt: skip
        controller.ingest(events)
        decisions += [msgspec.json.encode(one, order="sorted") for one in controller.decide(at)]
        if second // 5 % restart_every == restart_every - 1:
            again = Controller(controller.rules)
            again.restore(controller.dump())
            controller = again
    assert not controller.rejected
    return controller, decisions


def test_names_do_not_grow_for_ever_and_no_window_changes(small, monkeypatch) -> None:
    controller, decisions = driven(70)
    assert len(controller.names) < 100
    assert len(controller.names.names()) < 200
    monkeypatch.setattr(module, "LEAST", 10**9)
    growing, wanted = driven(70)
    assert len(growing.names) > 200
    assert decisions == wanted
    assert len(set(decisions)) > 50


def test_a_restart_forgets_the_same_names(small) -> None:
    controller, decisions = driven(40, text=LEARNED)
    restarted, same = driven(40, text=LEARNED, restart_every=7)
    assert same == decisions
    assert restarted.names.names() == controller.names.names()
    assert restarted.dump() == controller.dump()

"""Triggers that undo one another: found in every spelling, and never where the core keeps still."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.decision import PoolMemory, decide_pool
from poolwright.model.decision import PoolInputs
from poolwright.model.pool import PoolReport
from poolwright.model.rule import ServiceRule
from poolwright.model.signal import Signal, SignalStatus
from poolwright.model.tick import Health
from poolwright.rulefiles.building import build
from poolwright.rulefiles.checks import Names
from poolwright.rulefiles.document import read
from poolwright.rulefiles.oscillation import Fight, find_fights
from poolwright.rulefiles.shapes import RuleFile
from poolwright.rulefiles.validating import validate

RULES = """\
apiVersion: poolwright/v1
service: chat
pools:
  - {{name: main, provider: {{simulated: {{}}}}, replicas: {{min: {least}, max: {most}}}}}
signals:
  waiting: {{metric: requests_waiting, across: sum, stat: avg, window: 30s}}
  running: {{metric: requests_running, across: sum, stat: avg, window: 30s}}
  kv: {{metric: kv_cache_usage, across: p90, stat: max, window: 30s}}
triggers:
  - {{name: more, when: "{up}", add: {add}}}
  - {{name: fewer, when: "{down}", remove: {remove}}}
{others}limits:
  up: {{step: {step}, per: 1s}}
  down: {{step: {step}, per: 1s}}
"""
TARGET = "  - {{name: goal, target: {{signal: {}, per_replica: {}}}}}\n"


def service_of(up: str, down: str, **changes: Any) -> ServiceRule:
    parts = {"least": 2, "most": 12, "add": 1, "remove": 1, "step": 100, "others": ""} | changes
    document = read("r.yaml", RULES.format(up=up, down=down, **parts))
    shape = validate(document, RuleFile)
    assert shape is not None
    service = build(document, shape, Names.of(document))
    assert document.problems == []
    return service


def fights_of(up: str, down: str, **changes: Any) -> list[Fight]:
    service = service_of(up, down, **changes)
    return find_fights(service, service.pools[0])


@pytest.mark.parametrize(
    ("up", "down"),
    [
        ("waiting / ready > 8", "waiting / ready < 7"),
        ("8 < waiting / ready", "waiting / ready < 7"),
        ("8 < waiting / ready", "7 > waiting / ready"),
        ("waiting / ready >= 8", "waiting / ready <= 7"),
        ("waiting / desired > 8", "waiting / ready < 7"),
        ("waiting / ready > 8", "waiting / desired < 7"),
        ("waiting > 8 * ready", "waiting < ready * 7"),
        ("(waiting / ready) > 8", "!(waiting / ready >= 7)"),
        ("ready / waiting < 0.125", "waiting / ready < 7"),
        ("waiting / ready > 8 || kv > 0.9", "waiting / ready < 7"),
        ("kv > 0.9 || waiting / ready > 8", "waiting / ready < 7 && kv < 0.5"),
        ("waiting / ready > 8 && kv > 0.3", "waiting / ready < 7 && kv < 0.5"),
        ("waiting / ready > 8", "waiting / ready < 7 || running / ready < 1"),
        ("waiting / ready / 2 > 4", "waiting / ready < 7"),
        ("kv > 0.9 ? true : waiting / ready > 8", "waiting / ready < 7"),
        ("waiting / ready > 8 && kv > 0.85", "waiting / ready < 7"),
        ("waiting > 5 && ready < 3", "waiting < 10"),
    ],
)
def test_an_oscillation_is_found_however_it_is_written(up: str, down: str) -> None:
    (fight,) = fights_of(up, down)
    assert (fight.down, fight.up, fight.high, fight.low) == ("fewer", "more", 3, 2)
    assert "waiting" in fight.about


@pytest.mark.parametrize(
    ("up", "down"),
    [
        ("waiting / ready > 8", "waiting / ready < 5"),
        ("8 < waiting / ready", "5 > waiting / ready"),
        # The gates exclude each other: at no load do both have their way.
        ("waiting / ready > 8 && kv > 0.9", "waiting / ready < 7 && kv < 0.5"),
        # Of different signals: a long queue with idle replicas does not occur.
        ("waiting / ready > 8", "running / ready < 9"),
        ("waiting / ready > 8 && running / ready > 1", "running / ready < 9"),
        ("waiting / ready > 8", "running / ready < 9 || waiting / ready < 1"),
        # No share of a replica: it does not change with the count.
        ("waiting > 8", "waiting < 8"),
        ("kv > 0.9", "kv < 0.85"),
        ("kv / ready > 0.3", "kv / ready < 0.28"),
        # What depends on the count or the clock in another way is not decided.
        ("waiting / ready > 8 && cost < 100", "waiting / ready < 7"),
        ("waiting / ready > 8 && hour > 7", "waiting / ready < 7"),
    ],
)
def test_nothing_is_said_of_what_keeps_still_or_cannot_be_decided(up: str, down: str) -> None:
    assert fights_of(up, down) == []


def test_bounds_amounts_and_steps_count() -> None:
    apart = ("waiting / ready > 8", "waiting / ready < 7")
    assert fights_of(*apart, least=8) == []
    assert fights_of(*apart, least=6) != []
    assert fights_of(*apart, least=3, most=3) == []
    halves = ("waiting / ready > 8", "waiting / ready < 5")
    (fight,) = fights_of(*halves, remove="50%", add="100%")
    assert fight.low * 2 <= fight.high
    assert fights_of(*halves, remove="50%", add="100%", step=1) == []


def test_thresholds_that_overlap_are_found_unless_a_gate_parts_them() -> None:
    (fight,) = fights_of("waiting > 8", "waiting < 9")
    assert (fight.high, fight.low) == (2 + 1, 2 + 1)
    assert 8 < fight.load["waiting"] < 9
    assert len(fights_of("waiting > 8 || kv > 0.9", "waiting < 9")) == 1
    assert fights_of("waiting > 8 && kv > 0.9", "waiting < 9") == []
    assert fights_of("waiting > 8", "waiting < 9 && kv < 0.5") == []


def test_a_target_holds_what_would_else_oscillate() -> None:
    rules = ("running / ready > 50", "running / ready < 45")
    assert len(fights_of(*rules)) == 1
    assert fights_of(*rules, others=TARGET.format("running", 40)) == []
    # A target of another signal holds nothing.
    assert len(fights_of(*rules, others=TARGET.format("waiting", 40))) == 1


def test_a_target_itself_may_be_what_removes() -> None:
    idle = "running < 0"
    (fight,) = fights_of("running / ready > 30", idle, others=TARGET.format("running", 40))
    assert (fight.down, fight.up) == ("goal", "more")
    assert fights_of("running / ready > 40", idle, others=TARGET.format("running", 40)) == []


SPACING_S = 1000.0


def counts_of(service: ServiceRule, start: int, load: dict[str, float], ticks: int) -> list[int]:
    """What the core itself does at a constant load, if replicas are ready at once."""
    count, memory, counts = start, PoolMemory(), [start]
    for tick in range(ticks):
        at = 1_700_000_000.0 + tick * SPACING_S
        values = {**load, "ready": float(count), "desired": float(count)}
        inputs = PoolInputs(
            at,
            "r1",
            "chat",
            "main",
            PoolReport("main", at, count, count, 0),
            tuple(
                Signal(s.name, SignalStatus.FRESH, values.get(s.name, 0.0), 0.0, 1)
                for s in service.signals
            ),
            Health(),
        )
        memory, decision = decide_pool(service, service.pools[0], inputs, memory)
        count = decision.desired if decision else count
        counts.append(count)
    return counts


def is_endless(counts: list[int]) -> bool:
    """Whether it still moves both ways in the last third of a long time."""
    last = counts[-len(counts) // 3 :]
    moves = {(a < b) - (a > b) for a, b in pairwise(last)}
    return {1, -1} <= moves


numbers = st.integers(1, 12)
totals = st.sampled_from(["waiting", "running"])
counted = st.sampled_from(["ready", "desired"])


@st.composite
def comparisons(draw: st.DrawFn, above: bool) -> str:
    if draw(st.integers(0, 3)) == 0:
        return f"kv {'>' if above else '<'} 0.{draw(st.integers(1, 9))}"
    share = f"{draw(totals)} / {draw(counted)}"
    number = draw(numbers)
    if draw(st.booleans()):
        return f"{share} {'>' if above else '<'} {number}"
    return f"{number} {'<' if above else '>'} {share}"


@st.composite
def conditions(draw: st.DrawFn, above: bool) -> str:
    parts = draw(st.lists(comparisons(above), min_size=1, max_size=2))
    return f" {draw(st.sampled_from(['&&', '||']))} ".join(parts)


@settings(max_examples=100, deadline=None)
@given(
    up=conditions(above=True),
    down=conditions(above=False),
    least=st.integers(1, 4),
    add=st.sampled_from(["1", "2", "50%", "100%"]),
    remove=st.sampled_from(["1", "2", "50%"]),
    step=st.sampled_from([1, 2, 100]),
    target=st.sampled_from(["", TARGET.format("waiting", 5), TARGET.format("running", 3)]),
)
def test_no_false_alarm(
    up: str, down: str, least: int, add: str, remove: str, step: int, target: str
) -> None:
    """Whatever is said to oscillate does so in the core, at the load that is shown."""
    changes = {"least": least, "add": add, "remove": remove, "step": step, "others": target}
    service = service_of(up, down, **changes)
    for fight in find_fights(service, service.pools[0]):
        if fight.high != fight.low:
            counts = counts_of(service, fight.high, dict(fight.load), 60)
            assert counts[1] == fight.low
            assert is_endless(counts), (fight, counts)


@settings(max_examples=30, deadline=None)
@given(
    above=numbers,
    below=numbers,
    least=st.integers(1, 6),
    add=st.sampled_from(["1", "50%"]),
    mirrored=st.booleans(),
)
def test_none_of_one_comparison_each_is_missed(
    above: int, below: int, least: int, add: str, mirrored: bool
) -> None:
    """Against the core at every load of a fine grid, from every count."""
    up = f"{above} < waiting / ready" if mirrored else f"waiting / ready > {above}"
    service = service_of(up, f"waiting / desired < {below}", least=least, most=least + 2, add=add)
    found = [f for f in find_fights(service, service.pools[0]) if f.high != f.low]
    loads = [quarter / 4 for quarter in range(4 * 12 * (least + 2) + 4)]
    moving = [load for load in loads if is_endless(counts_of(service, least, {"waiting": load}, 9))]
    assert bool(found) == bool(moving) or (below >= above and not found)

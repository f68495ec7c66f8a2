"""Signals do not depend on the order of arrival, and outlive a checkpoint; no bytes raise."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.model.names import NameTable
from poolwright.model.rule import Mode, RuleSet, ServiceRule, SignalRule
from poolwright.model.signal import Signal
from poolwright.signals.store import LATENESS_S, WindowStore
from poolwright.telemetry.decoder import Decoder

STATS = ("rate", "sum", "count", "avg", "min", "max", "last", "slope", "p50", "p95")
RULES = [
    *(SignalRule(s, "requests_waiting", s, 45.0, "sum") for s in STATS),
    *(SignalRule(a, "kv_cache_usage", "avg", 20.0, a) for a in ("avg", "min", "max", "p90")),
    *(SignalRule(s, "ttft", s, 45.0, request_class="x") for s in STATS),
    *(SignalRule(s, "arrival_tokens", s, 45.0) for s in STATS),
    SignalRule("arrivals", "arrivals", "rate", 10.0),
    SignalRule("rate", "rate", "rate", 60.0),
    SignalRule("demand", "demand", "last", 60.0, builtin=True),
]
START = 1000.0

moments = st.integers(0, 2 * 120).map(lambda half: START + half / 2)
numbers = st.integers(0, 1000).map(lambda n: n / 8)
classes = st.sampled_from(["x", "y"])
arrivals = st.builds(
    lambda at, tokens, name: {"type": "arrival", "at": at, "input_tokens": tokens, "class": name},
    moments,
    numbers,
    classes,
)
requests = st.builds(
    lambda at, ttft, name: {"type": "request", "at": at, "ttft_s": ttft, "class": name},
    moments,
    numbers,
    classes,
)
# The values follow from replica and time: with two values for one, the later one to arrive wins.
replicas = st.builds(
    lambda at, name: {
        "type": "replica",
        "at": at,
        "replica": name,
        "running": at % 7,
        "waiting": at % 11,
        "kv_cache_usage": at % 1,
    },
    moments,
    st.sampled_from(["r1", "r2", "r3"]),
)
events = st.lists(arrivals | requests | replicas, max_size=60)


@st.composite
def orders(draw: st.DrawFn) -> tuple[list[dict], list[dict]]:
    """Events by time, and the same delayed by up to the lateness each."""
    given_events = sorted(draw(events), key=lambda event: event["at"])
    size = len(given_events)
    delays = draw(st.lists(st.floats(0, LATENESS_S), min_size=size, max_size=size))
    arrived = sorted(zip(given_events, delays, strict=True), key=lambda e: e[0]["at"] + e[1])
    return given_events, [event for event, _ in arrived]


def fill(store: WindowStore, names: NameTable, found: list[dict], cuts: list[int]) -> None:
    decoder = Decoder(names, None)
    edges = [0, *sorted(min(cut, len(found)) for cut in cuts), len(found)]
    for start, end in itertools.pairwise(edges):
        values = [
            json.dumps({"service": "chat", "pool": "gpu", **event}).encode()
            for event in found[start:end]
        ]
        batch, dead = decoder.decode(values, now=None, places=None)
        assert not dead
        store.ingest(batch, at=START + 200.0)


def ask(store: WindowStore, at: float) -> list[Signal]:
    return [
        store.evaluate(rule, service="chat", pool="gpu", at=at, expected_replicas=3)
        for rule in RULES
    ]


cut_lists = st.lists(st.integers(0, 60), max_size=6)
instants = st.integers(0, 160).map(lambda s: START + s)


@given(orders(), cut_lists, cut_lists, instants)
def test_order_of_arrival_does_not_matter(found, cuts, other_cuts, at: float) -> None:
    signals = []
    for order, edges in zip(found, (cuts, other_cuts), strict=True):
        names = NameTable()
        store = WindowStore(names)
        fill(store, names, order, edges)
        assert store.late == 0
        signals.append(ask(store, at))
    for one, other in zip(*signals, strict=True):
        for mine, theirs in ((one.value, other.value), (one.last_value, other.last_value)):
            assert (mine is None) == (theirs is None)
            if mine is not None and theirs is not None:
                assert mine == pytest.approx(theirs, rel=1e-9, abs=1e-9, nan_ok=True)
        for field in ("name", "status", "age_s", "samples", "replicas_reporting", "why"):
            assert getattr(one, field) == getattr(other, field)


@given(events, events, cut_lists, instants)
def test_a_checkpoint_changes_nothing(before, after, cuts, at: float) -> None:
    names = NameTable()
    store = WindowStore(names)
    fill(store, names, before, cuts)
    store.advance(START + 150.0)
    loaded = WindowStore(names)
    loaded.load(store.dump())
    assert repr(ask(loaded, at)) == repr(ask(store, at))
    for one in (store, loaded):
        fill(one, names, after, cuts)
    assert repr(ask(loaded, at)) == repr(ask(store, at))
    assert (loaded.late, loaded.duplicates) == (store.late, store.duplicates)
    assert loaded.dump() == store.dump()


@given(events, st.sets(st.sampled_from(RULES), min_size=1), instants)
def test_what_no_rule_asks_for_is_not_missed(found, asked, at: float) -> None:
    names = NameTable()
    every, some = WindowStore(names), WindowStore(names)
    chat = ServiceRule("chat", Mode.ACT, (), (), tuple(asked), ())
    some.configure(RuleSet("r", (chat,)))
    for store in (every, some):
        fill(store, names, found, [])
    for rule in asked:
        one, other = (
            store.evaluate(rule, service="chat", pool="gpu", at=at, expected_replicas=3)
            for store in (every, some)
        )
        assert repr(one) == repr(other)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
almost = st.fixed_dictionaries(
    {"type": st.sampled_from(["arrival", "request", "replica", "other"])},
    optional={
        **{name: st.text() for name in ("service", "pool", "replica", "class")},
        **dict.fromkeys(("at", "ttft_s", "waiting", "status"), json_values),
    },
)
texts = (json_values | almost | st.lists(almost)).map(lambda v: json.dumps(v).encode())


@given(st.lists(st.binary() | texts))
def test_no_bytes_raise(values: list[bytes]) -> None:
    names = NameTable()
    batch, dead = Decoder(names, None).decode(values, now=START, places=None)
    assert all(letter.reason in {"undecodable", "impossible_value", "future"} for letter in dead)
    store = WindowStore(names)
    store.ingest(batch, at=START)
    store.advance(START)
    ask(store, START)

"""Native telemetry: every kind of event, and what becomes a dead letter."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from poolwright.model.names import NameTable
from poolwright.model.sample import REPLICA_METRICS, TraceContext
from poolwright.telemetry.decoder import FUTURE_S, Decoder, Place

NOW = 1_000_000.0
ARRIVAL = {"type": "arrival", "at": NOW, "service": "chat"}
REQUEST = {**ARRIVAL, "type": "request", "pool": "gpu"}
REPLICA = {**REQUEST, "type": "replica", "replica": "r1"}


@pytest.fixture
def names() -> NameTable:
    return NameTable()


@pytest.fixture
def decode(names: NameTable):
    decoder = Decoder(names, frozenset({"chat", "code"}))

    def run(*events, now: float | None = NOW):
        values = [e if isinstance(e, bytes) else json.dumps(e).encode() for e in events]
        places = [Place("t", 3, i) for i in range(len(values))]
        return decoder.decode(values, now=now, places=places)

    return run


def test_arrival(decode, names: NameTable) -> None:
    batch, dead = decode({**ARRIVAL, "class": "x", "input_tokens": 12}, ARRIVAL)
    arrivals = batch.arrivals
    assert not dead
    assert [names.name(i) for i in arrivals.service] == ["chat", "chat"]
    assert [names.name(i) for i in arrivals.request_class] == ["x", ""]
    assert arrivals.at.tolist() == [NOW, NOW]
    np.testing.assert_equal(arrivals.input_tokens, [12.0, np.nan])


def test_request(decode, names: NameTable) -> None:
    full = {"replica": "r1", "class": "x", "input_tokens": 5, "output_tokens": 6}
    times = {"ttft_s": 0.1, "itl_s": 0.02, "e2e_s": 3}
    batch, dead = decode(
        {**REQUEST, **full, **times, "status": 200},
        {**REQUEST, "ttft_s": None, "status": "error"},
        {**REQUEST, "status": 500},
        REQUEST,
    )
    requests = batch.requests
    assert not dead
    for ids, name in (
        (requests.service, "chat"),
        (requests.pool, "gpu"),
        (requests.replica, "r1"),
        (requests.request_class, "x"),
    ):
        assert names.name(int(ids[0])) == name
    columns = ("input_tokens", "output_tokens", "ttft_s", "itl_s", "e2e_s")
    assert [getattr(requests, c)[0] for c in columns] == [5.0, 6.0, 0.1, 0.02, 3.0]
    assert all(np.isnan(getattr(requests, c)[1:]).all() for c in columns)
    assert requests.ok.tolist() == [True, False, False, True]


def test_replica(decode, names: NameTable) -> None:
    wire = ["running", "waiting", *REPLICA_METRICS[2:]]
    numbers = [3, 4, 0.5, 100, 200, 1, 0.25, 1.0]
    batch, dead = decode({**REPLICA, **dict(zip(wire, numbers, strict=True))}, REPLICA)
    assert not dead
    assert names.name(int(batch.replicas.replica[0])) == "r1"
    assert names.name(int(batch.replicas.pool[0])) == "gpu"
    assert batch.replicas.values[0].tolist() == numbers
    assert np.isnan(batch.replicas.values[1]).all()


def test_an_array_holds_events_of_any_kind(decode) -> None:
    batch, dead = decode([ARRIVAL, REQUEST, REPLICA, ARRIVAL], [])
    assert (len(batch.arrivals.at), len(batch.requests.at), len(batch.replicas.at)) == (2, 1, 1)
    assert not dead
    assert batch.newest_at == NOW


def test_unknown_fields_are_ignored(decode) -> None:
    batch, dead = decode({**ARRIVAL, "colour": "red"})
    assert (len(batch), dead) == (1, [])


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"{",
        b"null",
        b"7",
        b"\xff\xfe",
        b'{"type":"arrival","at":NaN,"service":"chat"}',
        b'{"type":"arrival","at":1e999,"service":"chat"}',
        b"[" * 100_000,
        {"type": "arrival", "service": "chat"},
        {**ARRIVAL, "at": "now"},
        {**ARRIVAL, "type": "other"},
        {"at": NOW, "service": "chat"},
        {**REQUEST, "pool": None},
        {k: v for k, v in REPLICA.items() if k != "replica"},
    ],
    ids=lambda value: repr(value)[:40],
)
def test_poison_among_good_ones(decode, poison) -> None:
    batch, dead = decode(ARRIVAL, poison, REPLICA)
    assert (len(batch.arrivals.at), len(batch.replicas.at), len(batch)) == (1, 1, 2)
    assert [(d.reason, d.place) for d in dead] == [("undecodable", Place("t", 3, 1))]
    assert dead[0].detail
    assert dead[0].value == (poison if isinstance(poison, bytes) else json.dumps(poison).encode())


def test_poison_in_an_array_costs_only_itself(decode) -> None:
    batch, dead = decode([ARRIVAL, {"type": "other"}, [ARRIVAL], REQUEST])
    assert len(batch) == 2
    assert [d.value for d in dead] == [b'{"type": "other"}', json.dumps([ARRIVAL]).encode()]
    assert {d.place for d in dead} == {Place("t", 3, 0)}


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({**ARRIVAL, "at": 0}, "impossible_value"),
        ({**ARRIVAL, "at": -5}, "impossible_value"),
        ({**ARRIVAL, "input_tokens": -1}, "impossible_value"),
        ({**REQUEST, "output_tokens": -1}, "impossible_value"),
        ({**REQUEST, "ttft_s": -0.1}, "impossible_value"),
        ({**REQUEST, "itl_s": -0.1}, "impossible_value"),
        ({**REQUEST, "e2e_s": -0.1}, "impossible_value"),
        ({**REPLICA, "waiting": -1}, "impossible_value"),
        ({**REPLICA, "kv_cache_usage": 1.1}, "impossible_value"),
        ({**REPLICA, "cache_hit": 50}, "impossible_value"),
        ({**REPLICA, "gpu_utilisation": 2}, "impossible_value"),
        ({**ARRIVAL, "at": NOW + FUTURE_S + 1}, "future"),
        ({**REPLICA, "at": NOW + FUTURE_S + 1}, "future"),
        ({**ARRIVAL, "service": "other"}, "unknown_service"),
        ({**REQUEST, "service": "other"}, "unknown_service"),
        ({**REPLICA, "service": "other", "at": -1}, "impossible_value"),
    ],
)
def test_refused_events_are_told_once_and_the_rest_kept(decode, event, reason: str) -> None:
    good = {**event, **{"request": REQUEST, "replica": REPLICA}.get(event["type"], ARRIVAL)}
    good = {k: v for k, v in good.items() if k in REPLICA}
    batch, dead = decode(good, event, good)
    assert [(d.reason, d.place) for d in dead] == [(reason, Place("t", 3, 1))]
    assert dead[0].value == json.dumps(event).encode()
    assert len(batch) == 2
    assert batch.newest_at == NOW


def test_a_fraction_of_rounding_above_one_is_kept(decode) -> None:
    batch, dead = decode({**REPLICA, "kv_cache_usage": 1.0005, "running": 50})
    assert (len(batch), dead) == (1, [])


def test_edges_of_time(decode) -> None:
    ahead = {**ARRIVAL, "at": NOW + FUTURE_S}
    assert len(decode(ahead)[0]) == 1
    assert len(decode({**ARRIVAL, "at": NOW * 9}, now=None)[0]) == 1


def test_any_service_without_a_list_of_them_and_no_places(names: NameTable) -> None:
    context = TraceContext("other", "0" * 31 + "1", "0" * 15 + "1")
    batch, dead = Decoder(names, None).decode(
        [json.dumps({**ARRIVAL, "service": "other"}).encode(), b"x"],
        now=NOW,
        places=None,
        contexts=(context,),
    )
    assert (len(batch), batch.contexts) == (1, (context,))
    assert [d.place for d in dead] == [None]


def test_refused_events_intern_no_names(decode, names: NameTable) -> None:
    decode({**ARRIVAL, "service": "other"}, {**REQUEST, "pool": "hidden", "at": -1})
    assert names.names() == ()


def test_the_documented_examples_decode(names: NameTable) -> None:
    text = (Path(__file__).parents[2] / "docs/telemetry.md").read_text(encoding="utf-8")
    examples = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    batch, dead = Decoder(names, None).decode(
        [example.encode() for example in examples], now=None, places=None
    )
    assert not dead
    assert (len(batch.arrivals.at), len(batch.requests.at), len(batch.replicas.at)) == (1, 1, 1)
    assert not np.isnan(batch.replicas.values).any()
    assert not np.isnan(batch.requests.e2e_s).any()

"""The plant: batching speed, billing, stock, draining, determinism; conservation of requests."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.simulation.coding import coding_hour
from poolwright.simulation.plant import Arrival, Plant
from poolwright.simulation.spec import PlantSpec, PoolSpec
from poolwright.simulation.workloads import TraceError, read_trace


def plant(**pool) -> Plant:
    return Plant(PlantSpec("s", (PoolSpec("gpu", **pool),)), seed=1)


def test_itl_of_a_batch_is_alpha_plus_beta_times_batch():
    p = plant(itl_base_s=0.01, itl_per_request_s=0.001, prefill_base_s=0, prefill_per_token_s=0)
    p.set_replicas("gpu", 1, at=0)
    for _ in range(4):
        p.submit(Arrival(300.0, "a", 10, 1001))
    itls = [e["itl_s"] for e in p.advance(400.0) if e["type"] == "request"]
    assert itls == [pytest.approx(0.014, rel=0.01)] * 4


def test_billing_stock_and_draining():
    p = plant(price_usd_per_hour=10.0, lease_s=3600.0, stock=2)
    assert p.set_replicas("gpu", 5, at=0) == 2
    p.advance(300.0)
    assert p.report("gpu").ready == 2
    p.submit(Arrival(301.0, "a", 100, 2000))
    p.advance(302.0)
    p.set_replicas("gpu", 0, at=302.0)
    assert p.report("gpu").terminating == 1
    p.advance(1000.0)
    assert (p.report("gpu").terminating, p.in_flight) == (0, 0)
    assert p.bill(7200.0) == {"gpu": pytest.approx(20.0)}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_every_request_ends_once_whatever_the_scaling(counts):
    runs = []
    for _ in range(2):
        p, events = plant(startup_s=20.0, max_batch=4), []
        p.set_replicas("gpu", 1, at=0)
        for i in range(60):
            p.submit(Arrival(i * 2.0, "a", 500 + i, 1 + i * 3))
        for i, count in enumerate(counts):
            events += p.advance(i * 10.0)
            p.set_replicas("gpu", count, at=i * 10.0)
        p.set_replicas("gpu", 2, at=200.0)
        events += p.advance(2000.0)
        runs.append(events)
        assert p.in_flight == 0
        assert sum(e["type"] == "request" for e in events) == 60
    assert runs[0] == runs[1]


def test_traces():
    azure = ["TIMESTAMP,ContextTokens,GeneratedTokens\n", "2023-11-16 18:17:03.9799600,4808,10\n"]
    assert read_trace(azure, "a.csv").input_tokens.tolist() == [4808]
    moon = ['{"timestamp": 1000, "input_length": 5, "output_length": 6, "hash_ids": []}\n'] * 2
    assert read_trace(moon, "m").arrival_s.tolist() == [0.0, 0.0]
    with pytest.raises(TraceError, match=r"b\.csv:2"):
        read_trace(["arrival_s,prompt_tokens,output_tokens", "1,x,2"], "b.csv")
    assert len(coding_hour(1).arrival_s) == 8819

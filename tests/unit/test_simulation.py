"""The plant: batching speed, dispatch, billing, stock, draining; conservation of requests."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.simulation.plant import Arrival, Plant
from poolwright.simulation.spec import PlantSpec, PoolSpec


def plant(**pool) -> Plant:
    return Plant(PlantSpec("s", (PoolSpec("gpu", **pool),)), seed=1)


def ended(events) -> list[dict]:
    return [event for event in events if event["type"] == "request"]


def test_itl_of_a_batch_is_alpha_plus_beta_times_batch():
    p = plant(itl_base_s=0.01, itl_per_request_s=0.001, prefill_base_s=0, prefill_per_token_s=0)
    p.set_replicas("gpu", 1, at=0)
    for _ in range(4):
        p.submit(Arrival(300.0, "a", 10, 1001))
    itls = [e["itl_s"] for e in ended(p.advance(400.0))]
    assert itls == [pytest.approx(0.014, rel=0.01)] * 4


def test_a_long_prompt_is_prefilled_in_chunks_beside_which_others_decode():
    p = plant(
        itl_base_s=0.01,
        itl_per_request_s=0.0,
        prefill_base_s=0.0,
        prefill_per_token_s=0.001,
        prefill_chunk_tokens=1000,
    )
    p.set_replicas("gpu", 1, at=0)
    p.submit(Arrival(300.0, "a", 0, 101))
    p.submit(Arrival(300.0, "b", 0, 52))
    p.submit(Arrival(300.5, "c", 4000, 1))
    found = {e["class"]: e for e in ended(p.advance(400.0))}
    # Four chunks of 1 s, each beside one decode step of 10 ms, after the step under way.
    # `b` ends between the second and the third of them.
    assert list(found) == ["b", "c", "a"]
    assert found["b"]["e2e_s"] == pytest.approx(0.52 + 2.0, abs=0.021)
    assert found["c"]["ttft_s"] == pytest.approx(4.04, abs=0.011)
    assert found["a"]["e2e_s"] == pytest.approx(1.0 + 4.0, abs=0.011)


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


def test_a_replica_drained_while_starting_never_serves():
    p = plant(startup_s=100.0)
    p.set_replicas("gpu", 1, at=0)
    p.set_replicas("gpu", 0, at=50.0)
    p.submit(Arrival(60.0, "a", 10, 10))
    p.advance(500.0)
    assert (p.report("gpu").ready, p.in_flight) == (0, 1)


def test_without_a_ready_replica_requests_queue_and_are_served_in_order():
    p = plant(max_batch=1, startup_s=100.0, startup_jitter=0.0)
    for i in range(3):
        p.submit(Arrival(10.0 + i, "a", 100 + i, 10))
    events = p.advance(50.0)
    assert [e["type"] for e in events] == ["arrival"] * 3
    p.set_replicas("gpu", 1, at=50.0)
    served = ended(p.advance(200.0))
    assert [e["input_tokens"] for e in served] == [100, 101, 102]
    assert served[0]["ttft_s"] > 140.0


def test_waiting_requests_are_shared_by_the_replicas_that_serve_their_class():
    pools = (
        PoolSpec("gpu", max_batch=1, startup_jitter=0.0),
        PoolSpec("wse", max_batch=1, startup_jitter=0.0, serves=("b",)),
    )
    p = Plant(PlantSpec("s", pools), seed=1)
    p.set_replicas("gpu", 2, at=0)
    p.set_replicas("wse", 1, at=0)
    for i in range(7):
        p.submit(Arrival(200.0, "ab"[i % 2], 10, 100_000))
    samples = [e for e in p.advance(206.0) if e["type"] == "replica" and e["at"] == 205.0]
    assert [(e["pool"], e["running"]) for e in samples] == [("gpu", 1), ("gpu", 1), ("wse", 1)]
    # Three of `a` wait for two GPUs, one of `b` for all three.
    assert [e["waiting"] for e in samples] == [
        pytest.approx(w) for w in (3 / 2 + 1 / 3, 3 / 2 + 1 / 3, 1 / 3)
    ]


def test_who_was_taken_and_is_not_prefilled_yet_waits_as_engines_say():
    p = plant(startup_jitter=0.0, prefill_base_s=4.0)
    p.set_replicas("gpu", 1, at=0)
    for _ in range(4):
        p.submit(Arrival(299.0, "a", 10, 10_000))
    samples = [e for e in p.advance(321.0) if e["type"] == "replica" and e["at"] >= 300.0]
    told = [(e["running"], e["waiting"]) for e in samples]
    assert told == [(1, 3), (2, 2), (3, 1), (4, 0), (4, 0)]


def test_requests_go_to_the_least_loaded_replica_of_any_pool_that_serves_them():
    pools = (PoolSpec("small", max_batch=2), PoolSpec("large", max_batch=8))
    p = Plant(PlantSpec("s", pools), seed=1)
    p.set_replicas("small", 1, at=0)
    p.set_replicas("large", 1, at=0)
    for _ in range(5):
        p.submit(Arrival(300.0, "a", 10, 10_000))
    samples = [e for e in p.advance(305.5) if e["type"] == "replica" and e["at"] == 305.0]
    # By share of the batch: 1 of 2 is as much as 4 of 8.
    assert {e["pool"]: e["running"] for e in samples} == {"small": 1, "large": 4}


def test_memory_bounds_the_batch_and_an_empty_replica_takes_what_is_larger_than_it():
    p = plant(kv_tokens=1000, startup_jitter=0.0)
    p.set_replicas("gpu", 1, at=0)
    p.submit(Arrival(300.0, "a", 1500, 500))
    p.submit(Arrival(300.0, "a", 10, 10))
    samples = [e for e in p.advance(305.5) if e["type"] == "replica" and e["at"] == 305.0]
    assert [(e["running"], e["waiting"], e["kv_cache_usage"]) for e in samples] == [(1, 1, 1.0)]
    assert len(ended(p.advance(400.0))) == 2


def test_a_plant_that_was_told_nothing_reports_nothing():
    p = plant()
    assert (p.report("gpu").at, p.report("gpu").desired) == (0.0, 0)
    assert p.outcomes(()).submitted == 0


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
        assert len(ended(events)) == 60
    assert runs[0] == runs[1]

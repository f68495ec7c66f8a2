"""Faults: what each does to replicas, requests and orders, and that their times are relative."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.simulation.plant import Arrival, Plant
from poolwright.simulation.spec import Fault, FaultKind, PlantSpec, PoolSpec

START = 1_700_000_000.0


def plant(*faults: Fault, **pool) -> Plant:
    spec = PoolSpec("gpu", faults=faults, startup_s=60.0, startup_jitter=0.0, **pool)
    return Plant(PlantSpec("s", (spec,)), seed=1, starts_at=START)


def ready(p: Plant, at: float) -> int:
    p.advance(START + at)
    return p.report("gpu").ready


def test_fault_times_count_from_the_first_command_or_from_the_start_that_is_given():
    fault = Fault(100.0, FaultKind.API_UNREACHABLE, 50.0)
    p = Plant(PlantSpec("s", (PoolSpec("gpu", startup_s=60.0, faults=(fault,)),)), 1)
    p.set_replicas("gpu", 1, at=START)
    seen = [p.faulty("gpu", "api_unreachable", START + s) for s in (99.9, 100, 149.9, 150)]
    assert seen == [False, True, True, False]
    assert ready(p, 120.0) == 1

    later = Plant(PlantSpec("s", (PoolSpec("gpu", faults=(fault,)),)), 1, starts_at=START + 1000)
    later.set_replicas("gpu", 1, at=START)
    assert not later.faulty("gpu", "api_unreachable", START + 120)
    assert later.faulty("gpu", "api_unreachable", START + 1120)


def test_a_dead_replica_is_replaced_and_its_requests_start_over():
    p = plant(Fault(100.0, FaultKind.REPLICA_DIES))
    p.set_replicas("gpu", 1, at=START)
    p.submit(Arrival(START + 99.0, "a", 10, 1000))
    assert ready(p, 101.0) == 0
    assert (p.report("gpu").desired, p.report("gpu").starting) == (1, 1)
    events = p.advance(START + 300.0)
    (request,) = [e for e in events if e["type"] == "request"]
    assert request["replica"] == "gpu-2"
    assert request["ttft_s"] > 61.0


def test_a_death_without_a_ready_replica_changes_nothing():
    p = plant(Fault(10.0, FaultKind.REPLICA_DIES))
    p.set_replicas("gpu", 1, at=START)
    assert ready(p, 61.0) == 1


def test_a_death_during_a_stockout_is_made_good_when_there_is_stock_again():
    p = plant(Fault(100.0, FaultKind.STOCKOUT, 200.0), Fault(150.0, FaultKind.REPLICA_DIES))
    p.set_replicas("gpu", 3, at=START)
    p.advance(START + 120.0)
    assert p.set_replicas("gpu", 5, at=START + 120.0) == 3
    assert ready(p, 299.0) == 2
    assert p.report("gpu").desired == 3
    assert ready(p, 361.0) == 3
    assert p.set_replicas("gpu", 5, at=START + 361.0) == 5


def test_a_lost_pool_has_no_replica_and_takes_no_order_until_it_is_back():
    p = plant(Fault(100.0, FaultKind.POOL_LOST, 200.0))
    p.set_replicas("gpu", 2, at=START)
    p.advance(START + 90.0)
    p.set_replicas("gpu", 3, at=START + 90.0)  # one is still starting when the pool is lost
    for i in range(4):
        p.submit(Arrival(START + 99.0 + i, "a", 10, 500))
    assert ready(p, 200.0) == 0
    assert p.set_replicas("gpu", 4, at=START + 200.0) == 3
    assert p.in_flight == 4
    assert ready(p, 361.0) == 3
    p.advance(START + 500.0)
    assert p.in_flight == 0


@pytest.mark.parametrize("factor", [3.0, 0.5])
def test_slow_steps_take_so_many_times_as_long_and_only_while_it_lasts(factor):
    p = plant(
        Fault(100.0, FaultKind.SLOW, 50.0, factor),
        itl_base_s=0.01,
        itl_per_request_s=0.0,
        prefill_base_s=0.0,
        prefill_per_token_s=0.0,
    )
    p.set_replicas("gpu", 1, at=START)
    p.advance(START + 95.0)
    p.set_replicas("gpu", 2, at=START + 95.0)  # idle and starting ones are slow as well
    p.submit(Arrival(START + 95.0, "a", 10, 20_001))
    (request,) = [e for e in p.advance(START + 400.0) if e["type"] == "request"]
    # 200 s of steps: 5 s before, 50 s in which 50/factor s of work are done, the rest after.
    assert request["e2e_s"] == pytest.approx(200 + 50 - 50 / factor, abs=0.1)


def test_two_slow_faults_multiply_and_replicas_ordered_meanwhile_are_slow():
    p = plant(
        Fault(0.0, FaultKind.SLOW, 1000.0, 2.0),
        Fault(50.0, FaultKind.SLOW, 1000.0, 5.0),
        itl_base_s=0.01,
        itl_per_request_s=0.0,
    )
    p.set_replicas("gpu", 0, at=START)
    p.advance(START + 80.0)
    p.set_replicas("gpu", 1, at=START + 80.0)
    p.submit(Arrival(START + 200.0, "a", 10, 101))
    (request,) = [e for e in p.advance(START + 400.0) if e["type"] == "request"]
    assert request["itl_s"] == pytest.approx(0.1)


def test_one_slow_replica_is_the_oldest_that_is_not_slow_yet_and_only_that():
    p = plant(
        Fault(90.0, FaultKind.SLOW_REPLICA, 1000.0, 2.0),
        Fault(95.0, FaultKind.SLOW_REPLICA, 1000.0, 5.0),
        Fault(96.0, FaultKind.SLOW, 1000.0, 3.0),
        Fault(97.0, FaultKind.SLOW_REPLICA, 20.0, 7.0),
        Fault(98.0, FaultKind.SLOW_REPLICA, 20.0, 9.0),  # nobody is left
        itl_base_s=0.01,
        itl_per_request_s=0.0,
    )
    p.set_replicas("gpu", 3, at=START)
    p.advance(START + 99.0)
    for number in range(3):
        p.submit(Arrival(START + 100.0 + number, "a", 10, 101))
    events = p.advance(START + 130.0)
    p.set_replicas("gpu", 0, at=START + 130.0)  # those that are slow alone are gone
    p.set_replicas("gpu", 1, at=START + 130.0)
    p.submit(Arrival(START + 200.0, "a", 10, 101))
    ended = [e for e in events + p.advance(START + 400.0) if e["type"] == "request"]
    slow = {e["replica"]: round(e["itl_s"], 4) for e in ended}
    assert slow["gpu-1"] == 0.06
    assert slow["gpu-2"] == 0.15
    assert slow["gpu-3"] == pytest.approx(0.18, abs=0.03)  # 0.21 for a while, then 0.03
    assert slow["gpu-4"] == 0.03


FAULTS = st.builds(
    Fault,
    at_s=st.floats(0, 300),
    kind=st.sampled_from(FaultKind),
    duration_s=st.floats(0, 200),
    factor=st.floats(0.2, 5),
)


@settings(max_examples=60, deadline=None)
@given(
    faults=st.lists(FAULTS, max_size=5),
    counts=st.lists(st.integers(0, 5), max_size=12),
    kv_tokens=st.sampled_from([600, 5000, 400_000]),
)
def test_every_request_ends_once_whatever_the_faults(faults, counts, kv_tokens):
    runs = []
    for _ in range(2):
        p, events = plant(*faults, max_batch=3, kv_tokens=kv_tokens), []
        for i in range(60):
            p.submit(Arrival(START + i * 3.0, "ab"[i % 2], 100 + 7 * i, 1 + i * 3))
        for i, count in enumerate(counts):
            events += p.advance(START + i * 20.0)
            p.set_replicas("gpu", count, at=START + i * 20.0)
            report = p.report("gpu")
            assert min(report.ready, report.starting, report.terminating) >= 0
            assert report.desired <= max(count, report.desired)
        p.set_replicas("gpu", 2, at=START + 600.0)
        events += p.advance(START + 3000.0)
        runs.append(events)
        assert p.in_flight == 0
        assert sum(e["type"] == "request" for e in events) == 60
        report = p.report("gpu")
        assert (report.desired, report.ready, report.terminating) == (2, 2, 0)
    assert runs[0] == runs[1]

"""Outcomes: who counts as missed, latencies, replica-seconds and cost."""

import pytest

from poolwright.model.rule import ClassRule
from poolwright.simulation.ledger import PATIENCE_S, overdue
from poolwright.simulation.plant import Arrival, Plant
from poolwright.simulation.replica import Request
from poolwright.simulation.spec import PlantSpec, PoolSpec

CHAT = ClassRule("chat", ttft_s=2.0, itl_s=0.05)


def plant(**pool) -> Plant:
    return Plant(PlantSpec("s", (PoolSpec("gpu", startup_jitter=0.0, **pool),)), seed=1)


def test_a_backlog_that_is_never_served_counts_as_missed():
    p = plant(startup_s=60.0)
    p.set_replicas("gpu", 1, at=0)
    p.submit(Arrival(100.0, "chat", 100, 10))
    p.advance(150.0)
    assert p.outcomes([CHAT]).attainment == {"chat": 1.0}
    p.set_replicas("gpu", 0, at=150.0)
    for i in range(3):
        p.submit(Arrival(200.0 + i, "chat", 100, 10))
    p.submit(Arrival(209.0, "chat", 100, 10))  # has waited for 1 s of its 2 s: still open
    p.submit(Arrival(300.0, "chat", 100, 10))  # has not arrived
    p.submit(Arrival(201.0, "other", 100, 10))  # has no objective here
    p.advance(210.0)
    found = p.outcomes([CHAT, ClassRule("unused", ttft_s=1.0)])
    assert (found.submitted, found.ended, found.overdue) == (7, 1, 3)
    assert found.attainment == {"chat": pytest.approx(1 / 4)}


def test_a_class_of_which_nothing_ended_has_an_attainment_once_it_is_late():
    p = plant()
    p.submit(Arrival(0.0, "chat", 100, 10))
    p.advance(1.0)
    assert p.outcomes([CHAT]).attainment == {}
    p.advance(3.0)
    assert p.outcomes([CHAT]).attainment == {"chat": 0.0}
    assert p.outcomes([CHAT]).latency == {}


def test_each_limit_counts_for_those_that_ended():
    p = plant(itl_base_s=0.01, itl_per_request_s=0.0, prefill_base_s=1.0, prefill_per_token_s=0.0)
    p.set_replicas("gpu", 1, at=0)
    p.submit(Arrival(300.0, "a", 10, 101))
    p.advance(400.0)
    for rule, kept in (
        (ClassRule("a", ttft_s=0.9), 0.0),
        (ClassRule("a", itl_s=0.009), 0.0),
        (ClassRule("a", e2e_s=1.9), 0.0),
        (ClassRule("a", ttft_s=1.1, itl_s=0.011, e2e_s=2.1), 1.0),
        (ClassRule("a"), 1.0),
    ):
        assert p.outcomes([rule]).attainment == {"a": kept}
    assert p.outcomes([]).latency == {
        "ttft_p50_s": pytest.approx(1.0),
        "ttft_p99_s": pytest.approx(1.0),
        "itl_p50_s": pytest.approx(0.01),
        "itl_p99_s": pytest.approx(0.01),
    }


@pytest.mark.parametrize(
    ("rule", "first_token_at", "now", "late"),
    [
        (ClassRule("a", ttft_s=2.0), None, 102.0, False),
        (ClassRule("a", ttft_s=2.0), None, 102.1, True),
        (ClassRule("a", ttft_s=2.0), 101.0, 5000.0, False),
        (ClassRule("a", itl_s=0.1), 101.0, 102.0, False),
        (ClassRule("a", itl_s=0.1), 101.0, 102.1, True),
        (ClassRule("a", itl_s=0.1), None, 100.0 + PATIENCE_S, False),
        (ClassRule("a", itl_s=0.1), None, 100.1 + PATIENCE_S, True),
        (ClassRule("a", e2e_s=3600.0), None, 3700.0, False),
        (ClassRule("a", e2e_s=3600.0), None, 3701.0, True),
        (ClassRule("a"), None, 100.1 + PATIENCE_S, True),
    ],
)
def test_a_request_in_flight_is_late_when_ending_now_would_not_help(
    rule, first_token_at, now, late
):
    request = Request(1, 100.0, "a", 10, 11, first_token_at)
    assert overdue(rule, request, now) is late


def test_replica_seconds_run_from_order_to_release_and_cost_at_least_the_lease():
    p = plant(price_usd_per_hour=36.0, lease_s=1000.0)
    p.set_replicas("gpu", 2, at=0)
    p.advance(500.0)
    p.set_replicas("gpu", 1, at=500.0)
    p.advance(2000.0)
    found = p.outcomes([])
    assert found.replica_seconds == {"gpu": 2500.0}
    assert found.cost_usd == {"gpu": pytest.approx(30.0)} == p.bill(2000.0)

"""Other autoscalers' formulas on small cases worked out by hand from their documentation."""

import numpy as np
import pytest

from poolwright.backtest.peers.clairvoyant import counts
from poolwright.backtest.peers.dynamo import (
    DynamoPlanner,
    Interval,
    Profile,
    predicted,
    replicas_for,
)
from poolwright.backtest.peers.hpa import HorizontalPodAutoscaler, desired_pods
from poolwright.backtest.peers.kpa import KnativePodAutoscaler
from poolwright.backtest.peers.peer import Ended, Gauge, Peer, Second
from poolwright.backtest.peers.ray_serve import RayServe
from poolwright.backtest.peers.skyserve import SkyServe
from poolwright.backtest.peers.static import Static
from poolwright.backtest.peers.wva import Triggers, WorkloadVariantAutoscaler, change
from poolwright.model.pool import PoolReport
from poolwright.simulation.spec import PoolSpec


def second(at, concurrency=0.0, *, ready=1, starting=0, arrivals=0, ended=(), gauges=()):
    report = PoolReport("gpu", at, ready + starting, ready, starting)
    return Second(at, report, concurrency, arrivals, 0, tuple(ended), tuple(gauges))


class Fleet:
    """A pool whose replicas are ready at once, under one peer."""

    def __init__(self, peer: Peer, count: int) -> None:
        self.peer = peer
        self.count = count
        self.at = 0.0

    def run(self, seconds: int, concurrency=0.0, arrivals=0) -> int:
        for _ in range(seconds):
            self.at += 1.0
            now = second(self.at, concurrency, ready=self.count, arrivals=arrivals)
            self.peer.observe(now)
            if self.at % self.peer.every_s < 1.0:
                self.count = self.peer.replicas(now)
        return self.count


# --- Kubernetes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("per_pod", "ready", "starting", "expected"),
    [
        (200.0, 4, 0, 8),  # twice the target: twice the pods
        (50.0, 4, 0, 2),
        (109.0, 4, 0, 4),  # within the tolerance of 0.1
        (111.0, 4, 0, 5),
        (300.0, 2, 2, 6),  # not ready count as 0: 600 / 4 pods is 1.5 of the target
        (150.0, 2, 2, 4),  # that would turn the direction round
        (40.0, 2, 2, 3),  # downwards they count as the target: 280 / 4 pods is 0.7 of it
    ],
)
def test_hpa_counts_as_documented(per_pod, ready, starting, expected):
    usage = per_pod * ready
    current = ready + starting
    assert desired_pods(usage, 100.0, current=current, ready=ready, starting=starting) == expected


def test_hpa_adds_the_larger_of_four_pods_and_all_of_them_in_fifteen_seconds():
    fleet = Fleet(HorizontalPodAutoscaler(1.0), 2)
    assert fleet.run(15, concurrency=100.0) == 6
    assert fleet.run(15, concurrency=100.0) == 12
    assert fleet.run(15, concurrency=100.0) == 24


def test_hpa_comes_down_when_the_highest_wish_of_five_minutes_has_passed():
    fleet = Fleet(HorizontalPodAutoscaler(1.0), 4)
    fleet.run(15, concurrency=4.0)
    assert fleet.run(285, concurrency=2.0) == 4
    assert fleet.run(15, concurrency=2.0) == 2


# --- Knative -----------------------------------------------------------------------------------


def test_kpa_follows_the_mean_of_a_minute_where_nothing_bursts():
    fleet = Fleet(KnativePodAutoscaler(10.0), 3)
    assert fleet.run(60, concurrency=30.0) == 3
    # 45 seconds of 30 and 15 of 50 are 35 on average, and the last 6 seconds are below 200 %.
    assert fleet.run(15, concurrency=50.0) == 4


def test_kpa_panics_at_twice_what_ready_pods_carry_and_keeps_the_highest_count():
    fleet = Fleet(KnativePodAutoscaler(10.0), 2)
    fleet.run(60, concurrency=10.0)
    # From 40 wanted on average of 6 seconds: 4 pods for 2 ready ones.
    fleet.count = 2
    assert fleet.run(6, concurrency=90.0) == 9
    assert fleet.run(50, concurrency=10.0) == 9


def test_kpa_calms_down_a_stable_window_after_and_halves_at_most():
    fleet = Fleet(KnativePodAutoscaler(10.0), 2)
    fleet.run(20, concurrency=90.0)
    assert fleet.run(70, concurrency=0.0) < 9
    now = second(1000.0, ready=10)
    assert KnativePodAutoscaler(10.0).replicas(now) == 5


# --- Ray Serve and SkyServe ----------------------------------------------------------------------


def test_ray_scales_up_after_thirty_seconds_and_down_after_ten_minutes():
    fleet = Fleet(RayServe(2.0), 1)
    assert fleet.run(29, concurrency=12.0) == 1
    assert fleet.run(3, concurrency=12.0) == 6
    assert fleet.run(595, concurrency=2.0) == 6
    assert fleet.run(60, concurrency=2.0) == 1


def test_ray_starts_its_delay_again_when_the_direction_turns():
    fleet = Fleet(RayServe(1.0), 4)
    fleet.run(15, concurrency=8.0)
    fleet.run(60, concurrency=1.0)
    assert fleet.run(25, concurrency=8.0) == 4


def test_skyserve_scales_up_after_fifteen_decisions_and_down_after_sixty():
    fleet = Fleet(SkyServe(2.5), 2)
    # The first two decisions see windows that are not full: 4 and 8 wanted, above 2 as well.
    assert fleet.run(280, arrivals=30) == 2
    assert fleet.run(20, arrivals=30) == 12
    assert fleet.run(1180, arrivals=5) == 12
    assert fleet.run(80, arrivals=5) == 2


def test_a_fixed_count_is_fixed():
    assert Fleet(Static(7), 3).run(60, concurrency=1e6) == 7


# --- Dynamo --------------------------------------------------------------------------------------

ENGINE = PoolSpec(
    "gpu",
    itl_base_s=0.01,
    itl_per_request_s=0.001,
    prefill_base_s=0.0,
    prefill_per_token_s=0.0001,
    max_batch=64,
    kv_tokens=1_000_000,
)


def test_dynamo_divides_the_predicted_load_by_the_profile_under_the_sla():
    profile = Profile(ENGINE)
    assert profile.prefill_tokens_per_s(1000.0) == pytest.approx(10_000.0)
    # 50 ms a token: 40 at once, 800 tokens a second.
    assert profile.decode_tokens_per_s(0.05, 1100.0) == pytest.approx(800.0)
    # 20 requests a second: 20,000 prompt tokens are 2 engines, 4,000 answer tokens 5.
    load = Interval(20.0 * 180.0, 1000.0, 200.0)
    assert replicas_for(load, profile, 0.05) == 7
    assert replicas_for(load, profile, 0.05, planned=0.5) == 14


def test_dynamo_corrects_by_what_was_observed():
    profile = Profile(ENGINE)
    load = Interval(20.0 * 180.0, 1000.0, 200.0)
    # Twice the expected ITL asks for 25 ms: 15 at once, 600 tokens a second, 6.67 engines.
    assert replicas_for(load, profile, 0.05, decode_correction=2.0) == 9
    # A prefix cache halves TTFT: 1 engine; a queue that doubles it changes nothing.
    assert replicas_for(load, profile, 0.05, prefill_correction=0.5) == 6
    assert replicas_for(load, profile, 0.05, prefill_correction=2.0) == 7


def test_dynamos_batch_fits_into_memory():
    small = Profile(PoolSpec("gpu", itl_base_s=0.01, itl_per_request_s=0.001, kv_tokens=4000))
    assert small.decode_tokens_per_s(0.05, 1000.0) == pytest.approx(4 / 0.014)


def test_dynamo_predicts_the_last_value_or_the_trend():
    assert predicted([1.0, 2.0, 3.0], trend=False) == 3.0
    assert predicted([1.0, 2.0, 3.0], trend=True) == pytest.approx(4.0)
    assert predicted([3.0, 0.0], trend=True) == 0.0


def test_dynamo_holds_while_nothing_ends():
    planner = DynamoPlanner(Profile(ENGINE), 0.05, 1.0, trend=False)
    assert planner.replicas(second(180.0, ready=3)) == 3
    one = Ended(1000, 200, 0.1, 0.011, 2.3)
    planner.observe(second(181.0, ready=3, arrivals=3600, ended=[one]))
    assert planner.replicas(second(360.0, ready=3)) == 7


# --- llm-d ---------------------------------------------------------------------------------------


def gauges(*figures):
    return [Gauge(f"r{i}", 1.0, waiting, kv) for i, (kv, waiting) in enumerate(figures)]


@pytest.mark.parametrize(
    ("replicas", "expected"),
    [
        (gauges((0.75, 2), (0.76, 2)), 1),  # spare KV 0.045 < 0.1
        (gauges((0.5, 3), (0.5, 4)), 1),  # spare queue 1.5 < 3
        (gauges((0.70, 2), (0.75, 3), (0.60, 1), (0.65, 2), (0.55, 1)), 0),
        (gauges((0.2, 0), (0.3, 0)), -1),  # one with 0.5 still has 0.3 to spare
        (gauges((0.4, 0), (0.4, 0)), 0),  # one with 0.8 would have none
        (gauges((0.1, 0)), 0),  # never the last one
        (gauges((0.9, 0), (0.85, 0)), 1),  # all are saturated
        ([], 0),
    ],
)
def test_wva_asks_whether_the_others_have_spare(replicas, expected):
    assert change(replicas, Triggers()) == expected


def test_wva_adds_nothing_while_a_replica_starts():
    peer = WorkloadVariantAutoscaler(Triggers())
    peer.observe(second(60.0, ready=2, starting=1, gauges=gauges((0.78, 4), (0.78, 4))))
    assert peer.replicas(second(60.0, ready=2, starting=1)) == 3
    assert peer.replicas(second(60.0, ready=2)) == 3


def test_wva_sees_the_worst_of_its_minute():
    peer = WorkloadVariantAutoscaler(Triggers())
    peer.observe(second(30.0, ready=1, gauges=gauges((0.79, 0))))
    peer.observe(second(60.0, ready=1, gauges=gauges((0.1, 0))))
    assert peer.replicas(second(60.0, ready=1)) == 2
    assert peer.replicas(second(95.0, ready=1)) == 1


# --- clairvoyant ---------------------------------------------------------------------------------


def test_the_clairvoyant_orders_a_start_ahead_and_keeps_what_it_would_order_again():
    need = np.array([0.0, 0, 0, 0, 2.2, 0, 0, 2.2, 0, 0, 0, 0])
    plan = counts(need, 1.0, cut=9.0, window_s=1, lead_s=3)
    assert plan.tolist() == [0, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 0]


def test_the_clairvoyant_scales_cuts_and_holds():
    need = np.array([1.0, 1, 4, 1, 1, 1])
    assert counts(need, 0.5, cut=9.0, window_s=1, lead_s=0).tolist() == [1, 1, 2, 1, 1, 1]
    assert counts(need, 1.0, cut=3.0, window_s=1, lead_s=0).tolist() == [1, 1, 3, 1, 1, 1]
    assert counts(need, 1.0, cut=9.0, window_s=4, lead_s=0).tolist() == [4, 4, 4, 4, 1, 1]

"""The speed of replicas is found from ended requests, and odd ones do no harm."""

import numpy as np
import pytest
from tests.unit.capacity_bench import learn, simulate

from poolwright.capacity.speed import PRIOR, ROWS, TRUSTED_REQUESTS, Speed, SpeedEstimator

TRUTH = Speed(0.020, 0.0006, 0.008, 0.00012)
ENDED = simulate(TRUTH, seconds=300.0)


def vector(speed: Speed) -> np.ndarray:
    return np.array(
        (speed.itl_base_s, speed.itl_per_request_s, speed.prefill_base_s,
         speed.prefill_per_token_s)
    )  # fmt: skip


def errors(speed: Speed, ended=ENDED) -> np.ndarray:
    """Relative errors of the decode times that the speed predicts of what the replicas did."""
    names = ("iterations", "tokens", "prefills", "prompt_tokens")
    decoded = ended["decode"] > 0
    did = np.column_stack([ended[name][decoded] for name in names])
    return did @ vector(speed) / ended["decode"][decoded] - 1.0


def show(estimator: SpeedEstimator, count: int, *, at: float = 0.0, **columns: object) -> None:
    """`count` requests of one replica, one after the other, 200 tokens in and 50 out."""
    end = at + 1.5 * (1.0 + np.arange(count))
    usual = {"inputs": 200.0, "outputs": 50.0, "ttft": 0.05, "decode": 1.0, "replica": 7} | columns
    full = {name: np.broadcast_to(value, count) for name, value in usual.items()}
    rest = [full[name].astype(float) for name in ("inputs", "outputs", "ttft", "decode")]
    estimator.observe(end, full["replica"].astype(np.int32), *rest)


def test_the_simulation_is_the_model() -> None:
    assert np.abs(errors(TRUTH)).max() < 1e-9
    assert len(ENDED["ended"]) > 1000


def test_decode_times_are_predicted_within_a_tenth() -> None:
    found = learn(SpeedEstimator(), ENDED)
    assert found.learned
    assert np.median(np.abs(errors(found.speed))) < 0.05
    assert abs(errors(found.speed).mean()) < 0.05
    assert found.error < 0.1
    # The prior, a guess, is off by more: this test could fail.
    assert np.median(np.abs(errors(PRIOR))) > 0.15


def test_requests_that_name_no_replica_teach_what_any_of_them_is_like() -> None:
    ended = simulate(TRUTH, seconds=600.0, rate=8.0, replicas=6)
    unnamed = ended | {"replica": np.full(len(ended["ended"]), -6.0)}
    found = learn(SpeedEstimator(), unnamed)
    assert found.learned
    assert np.median(np.abs(errors(found.speed, ended))) < 0.05
    assert abs(errors(found.speed, ended).mean()) < 0.05
    # As if one replica had done all the work, the batch would seem six times as large.
    alone = learn(SpeedEstimator(), ended | {"replica": np.full(len(ended["ended"]), -1.0)})
    assert alone.speed.itl_per_request_s < 0.5 * TRUTH.itl_per_request_s


def test_the_prefill_of_a_lone_request_is_found() -> None:
    ended = simulate(TRUTH, rate=0.5, seconds=1200.0, chunk=4096)
    found = learn(SpeedEstimator(), ended).speed
    ours, theirs = (s.prefill_base_s + 1000 * s.prefill_per_token_s for s in (found, TRUTH))
    assert ours == pytest.approx(theirs, rel=0.1)


def test_outliers_change_little() -> None:
    spoiled = {name: column.copy() for name, column in ENDED.items()}
    # From the 100th on, a twentieth hung for five times as long on the client's side.
    odd = np.arange(100, len(spoiled["ended"]), 20)
    spoiled["decode"][odd] *= 5.0
    found = learn(SpeedEstimator(), spoiled)
    assert abs(np.median(errors(found.speed))) < 0.1


def test_a_change_of_speed_is_followed() -> None:
    slower = Speed(*(1.6 * vector(TRUTH)))
    found = learn(SpeedEstimator(), ENDED)
    after = simulate(slower, seconds=900.0, seed=5)
    shifted = after | {"ended": after["ended"] + 400.0}
    learn(found, shifted, since=400.0)
    assert abs(errors(found.speed, after).mean()) < 0.1


@pytest.mark.parametrize("missing", ["inputs", "outputs", "ttft", "decode"])
def test_requests_that_do_not_say_are_left_out(missing) -> None:
    found = SpeedEstimator()
    show(found, 100, **{missing: np.nan})
    found.refit(1000.0)
    assert (found.requests, found.speed) == (0.0, PRIOR)
    show(found, 100, at=200.0)
    found.refit(1000.0)
    assert found.learned


def test_the_prior_is_believed_until_anything_is_seen() -> None:
    prior = Speed(0.001, 0.0001, 0.002, 0.00001)
    found = SpeedEstimator(prior)
    nothing = np.empty(0)
    found.observe(nothing, nothing.astype(np.int32), nothing, nothing, nothing, nothing)
    found.refit(100.0)
    assert (found.speed, found.learned, found.requests) == (prior, False, 0.0)


def test_seven_requests_are_too_few() -> None:
    found = SpeedEstimator()
    show(found, 7)
    found.refit(1000.0)
    assert found.speed == PRIOR
    show(found, 1, at=20.0)
    found.refit(1000.0)
    assert found.speed != PRIOR
    assert found.requests < TRUSTED_REQUESTS


def test_one_replica_alone_is_enough_and_others_are_no_company() -> None:
    found = SpeedEstimator()
    show(found, 120)
    # 49 iterations of one request in a second, whichever replica's name it has.
    found.refit(1000.0)
    assert found.speed.itl_base_s + found.speed.itl_per_request_s == pytest.approx(1 / 49, rel=0.1)


def test_an_answer_of_one_token_shows_prefill_only() -> None:
    found = SpeedEstimator()
    show(found, 120, outputs=1.0, decode=0.0)
    found.refit(1000.0)
    speed = found.speed
    assert speed.prefill_base_s + 200 * speed.prefill_per_token_s == pytest.approx(0.05, rel=0.1)
    # Nothing was seen of decoding: the prior stays.
    assert speed.itl_base_s == pytest.approx(PRIOR.itl_base_s)


def test_requests_without_a_time_teach_nothing_and_divide_by_nothing() -> None:
    found = SpeedEstimator()
    show(found, 50, ttft=0.0, decode=0.0)
    found.refit(1000.0)
    assert found.speed == PRIOR
    assert found.requests == 0.0


def test_a_refit_waits_for_company_to_end_and_counts_nothing_twice() -> None:
    found = SpeedEstimator()
    show(found, 100)
    found.refit(3.0)
    assert found.requests < 10
    found.refit(1000.0)
    learned = found.requests
    assert learned > 90
    found.refit(2000.0)
    assert found.requests == learned


def test_figures_are_never_negative_whatever_comes() -> None:
    rng = np.random.default_rng(3)
    found = SpeedEstimator()
    for at in range(0, 1500, 150):
        show(found, 100, at=float(at), inputs=rng.exponential(500.0, 100),
             outputs=1.0 + rng.exponential(50.0, 100).round(), ttft=rng.exponential(1.0, 100),
             decode=rng.exponential(3.0, 100))  # fmt: skip
        found.refit(at + 200.0)
        assert (vector(found.speed) > 0.0).all()
        assert np.isfinite(vector(found.speed)).all()
        assert np.isfinite(found.error)


def test_two_replicas_are_watched_and_a_gone_one_is_replaced() -> None:
    found = SpeedEstimator()
    for replica in (1, 2, 3):
        show(found, 50, replica=replica)
    assert set(found._kept.rows()[:, 0]) == {1.0, 2.0}
    show(found, 10, at=300.0, replica=2)
    show(found, 10, at=301.0, replica=3)
    assert set(found._probes) == {2, 3}


def test_memory_is_bounded() -> None:
    found = SpeedEstimator()
    for at in range(0, 60000, 6000):
        show(found, 4000, at=float(at))
    assert len(found._kept) == ROWS
    found.refit(1e6)
    assert found.learned
    # Company of the oldest may have been forgotten: they are not used.
    assert found.requests < ROWS

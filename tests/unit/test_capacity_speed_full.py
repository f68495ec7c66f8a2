"""A batch that is always full cannot tell α from β: they keep the ratio that they were given."""

from functools import cache

import numpy as np
import pytest
from tests.unit.capacity_bench import learn, simulate

from poolwright.capacity.speed import PRIOR, Speed, SpeedEstimator

MOST = 64
INPUTS = 1500.0
FULL_S = 600.0


def vector(speed: Speed) -> np.ndarray:
    return np.array(
        (speed.itl_base_s, speed.itl_per_request_s, speed.prefill_base_s,
         speed.prefill_per_token_s)
    )  # fmt: skip


def times(*factors: float) -> Speed:
    return Speed(*(vector(PRIOR) * factors))


def itl_s(speed: Speed, batch: float) -> float:
    return speed.itl_base_s + batch * speed.itl_per_request_s


@cache
def overloaded(speed: Speed, *, outputs: float = 300.0, seconds: float = FULL_S, seed: int = 1):
    """A replica that gets more than it can carry from its first second on."""
    return simulate(speed, replicas=1, rate=1.5 * most_per_s(speed, outputs), seconds=seconds,
                    inputs=INPUTS, outputs=outputs, chunk=2048, most=MOST, seed=seed)  # fmt: skip


def most_per_s(speed: Speed, outputs: float) -> float:
    return 1.0 / (float(speed.work_s(INPUTS, outputs)) + speed.itl_base_s * outputs / MOST)


def relieved(speed: Speed, *, outputs: float, seconds: float, seed: int = 1):
    """Too much for two minutes, a full batch until FULL_S, then a load that varies."""
    most = most_per_s(speed, outputs)
    usual = 0.6 / float(speed.work_s(INPUTS, outputs))

    def rate(at: float) -> float:
        return 2.0 * most if at < 120.0 else most if at < FULL_S else usual

    return simulate(speed, replicas=1, rate=rate, seconds=seconds, inputs=INPUTS,
                    outputs=outputs, chunk=2048, most=MOST, seed=seed)  # fmt: skip


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_machine_that_is_slower_by_a_factor_is_slower_by_it_in_all(factor, seed) -> None:
    truth = times(factor, factor, factor, factor)
    found = learn(SpeedEstimator(), overloaded(truth, seed=seed))
    assert found.learned
    ratio = vector(found.speed) / vector(truth)
    assert ratio[0] == pytest.approx(1.0, abs=0.1)
    assert ratio[1] == pytest.approx(1.0, abs=0.05)
    assert ratio[3] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("factors", [(1.5, 0.7), (0.6, 1.5), (2.0, 2.0)])
def test_alpha_and_beta_go_together_to_what_is_seen(factors) -> None:
    truth = times(*factors, 1.0, 1.0)
    found = learn(SpeedEstimator(), overloaded(truth)).speed
    assert itl_s(found, MOST) == pytest.approx(itl_s(truth, MOST), rel=0.05)
    ours, given = (s.itl_base_s / s.itl_per_request_s for s in (found, PRIOR))
    assert ours == pytest.approx(given, rel=0.15)


def test_prefills_of_short_answers_are_not_taken_for_decoding() -> None:
    found = learn(SpeedEstimator(), overloaded(PRIOR, outputs=80.0)).speed
    assert itl_s(found, MOST) == pytest.approx(itl_s(PRIOR, MOST), rel=0.15)
    assert found.itl_base_s < 1.4 * PRIOR.itl_base_s


def test_a_declared_profile_is_the_ratio_that_is_kept() -> None:
    profile = times(0.5, 2.0, 1.0, 1.0)
    truth = Speed(*(1.5 * vector(profile)))
    found = learn(SpeedEstimator(profile), overloaded(truth)).speed
    assert vector(found)[:2] == pytest.approx(1.5 * vector(profile)[:2], rel=0.15)


def test_a_queue_longer_than_the_memory_does_not_stop_the_learning() -> None:
    # Whoever ends at last arrived before anything that is still remembered.
    ended = overloaded(PRIOR, seconds=1500.0)
    found = learn(SpeedEstimator(), ended)
    waited_s = ended["ttft"][-1]
    assert waited_s > np.ptp(found._kept.rows()[:, 3])
    assert found._used > ended["ended"][-1] - 120.0


def test_nothing_is_learned_while_only_short_ones_can_have_ended() -> None:
    ended = overloaded(times(2.0, 2.0, 2.0, 2.0), seconds=240.0)
    early = {name: column[ended["ended"] <= 60.0] for name, column in ended.items()}
    # A long answer takes minutes here: those that took none are no company to judge by.
    assert len(early["ended"]) > 20
    assert learn(SpeedEstimator(), early).speed == PRIOR
    assert learn(SpeedEstimator(), ended).learned


def test_silence_is_not_taken_for_an_empty_batch() -> None:
    ended = overloaded(PRIOR)
    found = learn(SpeedEstimator(), ended)
    before = found.speed, found.requests
    for late in (30.0, 60.0, 300.0):
        found.refit(FULL_S + late)
    assert (found.speed, found.requests) == before


def test_a_replica_that_is_lost_with_its_requests_does_no_harm() -> None:
    truth, lost_at = PRIOR, 300.0
    gone, other = overloaded(truth, seed=1), overloaded(truth, seed=2)
    rows = {
        name: np.concatenate((gone[name][gone["ended"] < lost_at], other[name])) for name in gone
    }
    rows["replica"] = np.repeat((7.0, 8.0), ((gone["ended"] < lost_at).sum(), len(other["ended"])))
    order = np.argsort(rows["ended"], kind="stable")
    found = learn(SpeedEstimator(), {name: column[order] for name, column in rows.items()})
    assert vector(found.speed)[:2] == pytest.approx(vector(truth)[:2], rel=0.12)


@pytest.mark.parametrize("outputs", [80.0, 300.0])
@pytest.mark.parametrize("factors", [(1.0,) * 4, (2.0,) * 4, (0.6, 1.5, 1.0, 1.0)])
def test_once_the_load_varies_a_wrong_first_belief_is_gone_in_ten_refits(outputs, factors) -> None:
    truth = times(*factors)
    ended = relieved(truth, outputs=outputs, seconds=2100.0)
    relief_s = 30.0 * np.ceil(ended["ended"][ended["ttft"] > 10.0][-1] / 30.0)
    upto = {name: column[ended["ended"] <= relief_s + 300.0] for name, column in ended.items()}
    found = learn(SpeedEstimator(), upto).speed
    for batch in (1.0, 16.0, MOST):
        assert itl_s(found, batch) == pytest.approx(itl_s(truth, batch), rel=0.1)


def test_the_same_requests_give_the_same_figures() -> None:
    once, again = (learn(SpeedEstimator(), overloaded(PRIOR)) for _ in range(2))
    assert (once.speed, once.error, once.requests) == (again.speed, again.error, again.requests)

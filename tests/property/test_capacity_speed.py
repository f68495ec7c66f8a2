"""Speeds learned of any full batch: one factor, no figure below zero, whatever the silence."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.capacity_bench import learn, simulate

from poolwright.capacity.speed import PRIOR, Speed, SpeedEstimator


def vector(speed: Speed) -> np.ndarray:
    return np.array(
        (speed.itl_base_s, speed.itl_per_request_s, speed.prefill_base_s,
         speed.prefill_per_token_s)
    )  # fmt: skip


@given(
    st.floats(0.3, 3.0),
    st.integers(1, 1000),
    st.floats(150.0, 400.0),
    st.sampled_from([16, 32, 64]),
    st.floats(30.0, 300.0),
)
@settings(max_examples=20, deadline=None)
def test_a_full_batch_of_any_machine_keeps_the_ratio_of_alpha_and_beta(
    factor, seed, outputs, most, silent_s
) -> None:
    truth = Speed(*(factor * vector(PRIOR)))
    work_s = float(truth.work_s(800.0, outputs))
    rate = 1.5 / (work_s + truth.itl_base_s * outputs / most)
    seconds = 16.0 * outputs * (truth.itl_base_s + most * truth.itl_per_request_s)
    ended = simulate(truth, replicas=1, rate=rate, seconds=seconds, inputs=800.0,
                     outputs=outputs, chunk=2048, most=most, seed=seed)  # fmt: skip
    found = learn(SpeedEstimator(), ended)
    assert found.learned
    ours, true = (s.itl_base_s + most * s.itl_per_request_s for s in (found.speed, truth))
    assert 0.85 < ours / true < 1.15
    ratio = vector(found.speed)[:2] / vector(truth)[:2]
    assert (ratio > 0.7).all()
    assert (ratio < 1.4).all()
    before = found.speed
    found.refit(float(ended["ended"][-1]) + silent_s)
    # A refit that was due after the last one may add to it; silence adds nothing.
    assert np.abs(vector(found.speed) / vector(before) - 1.0)[:2].max() < 0.1

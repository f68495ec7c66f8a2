"""What a replica carries, and how many a stream needs: cases worked out by hand."""

import numpy as np
import pytest

from poolwright.capacity.carrying import (
    BEST_EFFORT,
    EFFICIENCY,
    LEAST_SLACK,
    UNBOUNDED_BATCH,
    Carrying,
    Objective,
    carrying,
)
from poolwright.capacity.need import Stream, needs
from poolwright.capacity.speed import Speed

SPEED = Speed(0.010, 0.001, 0.0, 0.0001)


def load(objective: Objective, *, inputs=1000.0, outputs=101.0, batch=None) -> Carrying:
    return carrying(SPEED, objective, input_tokens=inputs, output_tokens=outputs, max_batch=batch)


def objective(ttft=None, itl=None, e2e=None) -> Objective:
    return Objective(ttft, itl, e2e, 0.99)


def test_the_time_between_tokens_sets_the_utilisation() -> None:
    found = load(objective(itl=0.040))
    # itl = α/(1 − u): at most 40 ms where 1 − u ≥ 10/40.
    assert found.utilisation == pytest.approx(0.75)
    assert found.decode_s == pytest.approx(100 * 0.040)
    assert (found.batch, found.meets, found.efficiency) == (UNBOUNDED_BATCH, True, EFFICIENCY)
    # 100 ms of prefill and 101 ms of decoding a request.
    assert found.requests_per_s(SPEED, 1000.0, 101.0) == pytest.approx(0.75 / 0.201)


def test_a_full_batch_bounds_what_is_carried() -> None:
    found = load(objective(itl=0.040), batch=8.0)
    assert found.batch == 8.0
    assert found.decode_s == pytest.approx(100 * 0.018)
    assert found.requests_per_s(SPEED, 0.0, 101.0) == pytest.approx(8 / 1.8)
    assert load(objective(itl=0.040), batch=0.0).batch == 1.0


def test_a_pool_that_is_too_slow_alone_does_not_meet_the_objective() -> None:
    for too_strict in (objective(itl=0.0109), objective(ttft=0.1)):
        found = load(too_strict)
        assert not found.meets
        assert found.utilisation > 0
        assert found.requests_per_s(SPEED, 1000.0, 101.0) > 0
    assert load(objective(itl=0.0109)).utilisation == BEST_EFFORT
    assert load(objective(itl=0.0111)).meets
    assert load(objective(ttft=0.11)).meets


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (objective(), 1.0),
        (objective(ttft=2.0), 1.9),
        (objective(ttft=0.11), LEAST_SLACK * 0.11),
        (objective(ttft=2.0, e2e=2.0, itl=0.018), 0.5),
        (objective(e2e=10.0, itl=0.018), 10.0 - 0.1 - 1.8),
    ],
)
def test_what_the_slo_leaves_for_waiting(wanted, expected) -> None:
    assert load(wanted).wait_s == pytest.approx(expected)


def test_requests_of_no_work_carry_without_division_by_nothing() -> None:
    nothing = Carrying(0.9, 8.0, 0.0, 1.0)
    assert np.isfinite(nothing.requests_per_s(Speed(0.0, 0.0, 0.0, 0.0), 0.0, 0.0))


def stream(requests, inputs=0.0, outputs=0.0) -> Stream:
    requests = np.array(requests, dtype=float)
    return Stream(requests, requests * inputs, requests * outputs)


IDEAL = Carrying(1.0, 1e9, 1.0, 0.0, efficiency=1.0)


def test_no_arrivals_need_nothing() -> None:
    assert needs(stream(np.zeros(100)), SPEED, IDEAL, 100).at_once.tolist() == [0.0] * 100


def test_prefill_of_a_burst_is_spread_over_the_wait_that_is_allowed() -> None:
    burst = stream([0, 0, 30, 0, 0], inputs=1000.0)
    # Three seconds of prefill: in one second with no wait, in three with a wait of two.
    assert needs(burst, SPEED, IDEAL, 5).at_once[2] == pytest.approx(3.0)
    patient = Carrying(1.0, 1e9, 1.0, 2.0, efficiency=1.0)
    found = needs(burst, SPEED, patient, 5).at_once
    assert found[2] == pytest.approx(3.0)  # all work over the time that a request decodes
    lasting = Carrying(1.0, 1e9, 60.0, 2.0, efficiency=1.0)
    assert needs(burst, SPEED, lasting, 5).at_once[2] == pytest.approx(1.0)


def test_decoding_is_spread_over_the_time_that_requests_decode() -> None:
    found = needs(
        stream([0, 40, 0, 0], outputs=100.0), SPEED, Carrying(0.5, 1e9, 4.0, 0.0), 4
    ).at_once
    # 40 · 100 ms over 4 s, at half a replica's time.
    assert found[-1] == pytest.approx(4.0 / 4.0 / 0.5)


def test_arrivals_feel_the_mean_of_what_comes_while_they_decode() -> None:
    burst = stream([1, 0, 0, 0, 40, 0, 0, 0, 0, 1], outputs=10.0)
    load = Carrying(0.5, 1e9, 1.0, 1.0, efficiency=1.0)
    found = needs(burst, SPEED, load, 10)
    peaks, mean = found.at_once, found.felt
    assert peaks[4] == pytest.approx(40 * 10 * 0.001 / 0.5)
    # A second of the burst and a quiet one.
    assert mean[4] == pytest.approx(peaks[4] / 2)
    assert mean[3] == pytest.approx(peaks[4] / 2)
    assert mean[5] == 0.0


def test_arrivals_feel_at_once_what_keeps_their_first_token() -> None:
    prompts = stream([0, 30, 0, 0], inputs=1000.0)
    patient = Carrying(1.0, 1e9, 4.0, 2.0, efficiency=1.0)
    assert needs(prompts, SPEED, patient, 4).felt[1] == pytest.approx(1.0)


def test_who_found_no_place_waits_on() -> None:
    crowd = stream([40.0] * 4 + [1.0] * 12, outputs=1.0)
    load = Carrying(0.9, 10.0, 4.0, 0.0)
    found = needs(crowd, Speed(0.01, 1e-9, 0.0, 1e-9), load, 16).at_once
    assert found[3] == pytest.approx(40.0 * 4.0 / 10.0)
    # After the crowd, half of it still fills two stays.
    assert found[7] == pytest.approx((160.0 + 4.0) / 8.0 * 4.0 / 10.0)


def test_a_small_batch_needs_places() -> None:
    steady = stream(np.full(60, 6.0), outputs=1.0)
    found = needs(steady, Speed(0.01, 1e-9, 0.0, 1e-9), Carrying(0.9, 12.0, 4.0, 0.0), 1).at_once
    assert found[0] == pytest.approx(6.0 * 4.0 / 12.0)


def test_a_stay_is_never_longer_than_the_history() -> None:
    lasting = Carrying(0.9, 4.0, 5000.0, 1.0)
    assert np.isfinite(needs(stream([1, 1, 1], 10.0, 10.0), SPEED, lasting, 3).at_once).all()

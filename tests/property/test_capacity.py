"""Learned capacity with any input: speeds, needs, and the promises 1, 2 and 6 of `slo` triggers."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.capacity_bench import RULES, Drive, Target, learn, simulate

from poolwright.capacity.carrying import Carrying
from poolwright.capacity.need import Stream, needs
from poolwright.capacity.speed import Speed, SpeedEstimator
from poolwright.controller import Controller
from poolwright.forecasting.ensemble import forecast
from poolwright.model.decision import Outcome
from poolwright.model.rule import Mode, RuleSet
from poolwright.rulefiles import load_sources

# --- speed -------------------------------------------------------------------------------------

speeds = st.builds(
    Speed,
    itl_base_s=st.floats(0.008, 0.040),
    itl_per_request_s=st.floats(0.0002, 0.0012),
    prefill_base_s=st.floats(0.001, 0.020),
    prefill_per_token_s=st.floats(0.00003, 0.0002),
)


@given(speeds, st.sampled_from([256, 512, 2048]), st.integers(1, 1000), st.floats(0.2, 0.6))
@settings(max_examples=15, deadline=None)
def test_the_decode_times_of_any_fleet_are_predicted_within_a_tenth(
    speed, chunk, seed, load
) -> None:
    rate = 3 * load / float(speed.work_s(600.0, 80.0))
    ended = simulate(speed, rate=rate, seconds=1200.0 / rate, chunk=chunk, seed=seed)
    found = learn(SpeedEstimator(), ended, every=10.0)
    assert found.learned
    decoded = ended["decode"] > 0
    names = ("iterations", "tokens", "prefills", "prompt_tokens")
    did = np.column_stack([ended[name][decoded] for name in names])
    s = found.speed
    figures = (s.itl_base_s, s.itl_per_request_s, s.prefill_base_s, s.prefill_per_token_s)
    ratio = did @ figures / ended["decode"][decoded]
    assert 0.9 < np.median(ratio) < 1.1
    assert np.median(np.abs(ratio - 1.0)) < 0.1


# --- need --------------------------------------------------------------------------------------

WORK_S = 0.25
PREFILL = Speed(1e-9, 1e-12, WORK_S, 1e-12)
arrivals = st.lists(st.integers(0, 12), min_size=5, max_size=200)


def prefill_need(counts, wait_s: float, last: int | None = None) -> np.ndarray:
    requests = np.array(counts, dtype=float)
    stream = Stream(requests, np.zeros(len(requests)), np.zeros(len(requests)))
    load = Carrying(1.0, 1e12, 300.0, wait_s, efficiency=1.0)
    return needs(stream, PREFILL, load, last or len(requests)).at_once


def longest_s(wait_s: float, seconds: int) -> float:
    """The wait, a second's resolution, and what a span between two powers of two may add.

    Work within k seconds is bounded by that of the next power of two, and by that of the powers
    that k is the sum of, each with a wait of its own.
    """
    added = [
        min(2 ** math.ceil(math.log2(k)) - k, (k.bit_count() - 1) * wait_s)
        for k in range(1, seconds + 1)
    ]
    return 1.0 + wait_s + max(added)


@given(arrivals, st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
@settings(max_examples=200, deadline=None)
def test_a_fluid_queue_with_the_replicas_needed_delays_nobody_for_longer(counts, wait_s) -> None:
    servers = math.ceil(prefill_need(counts, wait_s).max() - 1e-9)
    allowed_s = longest_s(wait_s, len(counts))
    backlog_s = 0.0
    for count in counts:
        backlog_s += count * WORK_S
        assert backlog_s <= servers * allowed_s + 1e-6
        backlog_s = max(0.0, backlog_s - servers)


@given(arrivals, st.data())
@settings(max_examples=100, deadline=None)
def test_more_arrivals_never_need_less(counts, data) -> None:
    more = list(counts)
    more[data.draw(st.integers(0, len(more) - 1))] += data.draw(st.integers(1, 9))
    before, after = prefill_need(counts, 1.0), prefill_need(more, 1.0)
    assert (after >= before - 1e-9).all()
    assert (before >= 0.0).all()


@given(
    arrivals,
    speeds,
    st.floats(1, 5000),
    st.floats(1, 800),
    st.builds(
        Carrying,
        utilisation=st.floats(0.05, 0.93),
        batch=st.floats(1, 512),
        decode_s=st.floats(0, 2000),
        wait_s=st.floats(0, 100),
    ),
)
@settings(max_examples=100, deadline=None)
def test_needs_are_finite_never_negative_and_add_up(counts, speed, inputs, outputs, load) -> None:
    requests = np.array(counts, dtype=float)
    stream = Stream(requests, requests * inputs, requests * outputs)
    found = needs(stream, speed, load, len(counts)).at_once
    assert np.isfinite(found).all()
    assert (found >= 0.0).all()
    double = Stream(2 * requests, 2 * stream.input_tokens, 2 * stream.output_tokens)
    assert needs(double, speed, load, len(counts)).at_once == pytest.approx(2 * found, abs=3e-6)
    # What is asked of the last seconds does not depend on how many are asked for.
    assert needs(stream, speed, load, 3).at_once == pytest.approx(found[-3:])


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=120), st.integers(1, 30),
       st.floats(0.5, 0.99))  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_a_forecast_is_a_number_or_none(values, horizon, quantile) -> None:
    series = np.array(values)
    found = forecast(series, series[:, None], np.ones((len(series), 1)), horizon, quantile)
    if found is not None:
        assert 0.0 <= found.value < 1e6
        assert math.isfinite(found.skill)
        assert sum(w for _, _, w in found.models.values()) == pytest.approx(1.0)


# --- promises ----------------------------------------------------------------------------------

BUDGET = RULES + "  budget: 28 USD/h\n"
phases = st.lists(
    st.tuples(
        st.sampled_from([5, 30, 45]),
        st.sampled_from([0.0, 0.5, 3.0, 12.0, 40.0]),
        st.booleans(),
        st.sampled_from([0.0, 4.0, 60.0]),
    ),
    min_size=2,
    max_size=6,
)


def rules(mode: Mode = Mode.ACT) -> RuleSet:
    loaded = load_sources({"chat.yaml": BUDGET})
    return replace(loaded, services=(replace(loaded.services[0], mode=mode),))


def run(script, *, ready: int, mode: Mode = Mode.ACT) -> tuple[Drive, list[tuple[float, int]]]:
    """A service that has learned for three minutes, and then anything."""
    driven = Drive(Controller(rules(mode)), Target("gpu", ready=ready))
    driven.run(200, 5.0)
    counts: list[tuple[float, int]] = []
    pool = driven.pools[0]
    for seconds, rate, telemetry, waiting in script:
        for _ in range(seconds):
            driven.run(1, rate, telemetry=telemetry, waiting=waiting)
            counts.append((driven.at, pool.ready + len(pool.starting)))
    return driven, counts


@given(phases, st.integers(1, 7))
@settings(max_examples=12, deadline=None)
def test_bounds_steps_and_budget_hold_whatever_is_learned(script, ready) -> None:
    _, counts = run(script, ready=ready)
    for i, (at, count) in enumerate(counts):
        assert 1 <= count <= 7  # 28 USD/h pay for seven, the bounds for twelve
        for earlier, before in counts[max(0, i - 25) : i]:
            if at - earlier < 15.0:
                assert count <= before + max(4, before)
            if at - earlier < 20.0:
                assert count >= before - 1


@given(phases, st.integers(2, 7))
@settings(max_examples=12, deadline=None)
def test_nothing_shrinks_while_telemetry_is_missing(script, ready) -> None:
    driven, _ = run([(120, 5.0, False, 0.0), *script], ready=ready)
    for decision in driven.decisions:
        demand = next(s for s in decision.inputs.signals if s.name == "demand")
        if demand.blocks_scale_down:
            assert decision.outcome is not Outcome.SCALE_DOWN
    blind = [d for d in driven.decisions if d.proposals and d.proposals[0].blind]
    assert blind
    assert all(d.desired >= d.current for d in blind)


@given(phases, st.integers(1, 7), st.sampled_from([Mode.ADVISE, Mode.PAUSED]))
@settings(max_examples=8, deadline=None)
def test_advised_and_paused_pools_learn_and_are_left_alone(script, ready, mode) -> None:
    driven, counts = run(script, ready=ready, mode=mode)
    assert {count for _, count in counts} == {ready}
    assert not any(d.acts for d in driven.decisions)
    assert driven.decisions[-1].inputs.assessments[0].learned
    if mode is Mode.PAUSED:
        assert all(d.desired == d.current for d in driven.decisions)

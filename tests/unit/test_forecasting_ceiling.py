"""A small fleet's forecast does not go far beyond what the hour's requests felt."""

import numpy as np
import pytest

from poolwright.forecasting.ceiling import LEAST_SPANS, MOST, Ceiling
from poolwright.forecasting.ensemble import backtest

HORIZON = 16


def opened(level: float, blocks: int = 180) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levels, truths and weights of a service that came up in a quarter of an hour."""
    random = np.random.default_rng(5)
    up = np.clip(np.arange(blocks) / 90.0, 0.05, 1.0) * level
    truths = up[:, None] * random.normal(1.0, 0.15, (blocks, 1)) + np.zeros(10)
    return truths.mean(axis=1), truths, np.ones(truths.shape)


def test_it_lowers_what_the_way_up_has_made_of_a_steady_need() -> None:
    values, truths, weights = opened(2.6)
    tested = backtest(values, truths, weights, HORIZON)
    assert tested is not None
    found = tested.forecast(0.97)
    models = sum(value * weight for value, _, weight in found.models.values())
    assert found.lowered_by > 0.03
    assert found.value == pytest.approx(models - found.lowered_by)
    felt = np.quantile(truths, 0.97)
    assert found.value >= felt - 0.01


def test_it_takes_little_off_and_nothing_of_a_large_fleet() -> None:
    found = Ceiling.of(*opened(2.0), HORIZON)
    assert found is not None
    assert found.lowered(3.0, 0.97, 0.0) == pytest.approx(3.0 - MOST)
    assert found.lowered(4.0, 0.97, 0.0) == pytest.approx(4.0 - MOST / 2)
    assert found.lowered(5.0, 0.97, 0.0) == 5.0
    # Nor does it ever add.
    assert found.lowered(1.0, 0.97, 0.0) == 1.0


def test_what_is_rising_is_expected_to_go_on() -> None:
    values, truths, weights = opened(2.6)
    steady = Ceiling.of(values, truths, weights, HORIZON)
    values, truths = values.copy(), truths.copy()
    values[-HORIZON:] *= 1.5
    truths[-HORIZON:] *= 1.5
    rising = Ceiling.of(values, truths, weights, HORIZON)
    assert steady is not None
    assert rising is not None
    assert steady.rise < 0.2
    assert rising.rise > 1.0
    assert rising.lowered(4.0, 0.97, 0.0) == 4.0
    assert steady.lowered(4.0, 0.97, 0.0) < 4.0


def test_a_peak_that_surprises_raises_it() -> None:
    found = Ceiling.of(*opened(2.6), HORIZON)
    assert found is not None
    assert found.lowered(3.5, 0.97, 0.5) > found.lowered(3.5, 0.97, 0.0)


def test_a_short_history_or_one_without_requests_has_none() -> None:
    values, truths, weights = opened(2.6, LEAST_SPANS * HORIZON)
    assert Ceiling.of(values, truths, weights, HORIZON) is not None
    assert Ceiling.of(values[1:], truths[1:], weights[1:], HORIZON) is None
    assert Ceiling.of(values, truths, np.zeros(truths.shape), HORIZON) is None

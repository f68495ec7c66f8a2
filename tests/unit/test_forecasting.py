"""The forecast's quantile is one, and models must earn their say."""

import numpy as np
import pytest

from poolwright.forecasting import ensemble
from poolwright.forecasting.ensemble import (
    LEAST_RESIDUALS,
    Forecast,
    Residuals,
    backtest,
    episodes,
    forecast,
    models,
    smoothed,
)

HORIZON = 6
LONG = 400


def told(values, weights, horizon: int = HORIZON, quantile: float = 0.9) -> Forecast | None:
    """Of blocks that have one part each: their level is their truth."""
    values, weights = np.asarray(values, dtype=float), np.asarray(weights, dtype=float)
    return forecast(values, values[:, None], weights[:, None], horizon, quantile)


def ahead(values, horizon: int = HORIZON, quantile: float = 0.9) -> Forecast:
    found = told(values, np.ones(len(values)), horizon, quantile)
    assert found is not None
    return found


def test_too_little_history_is_no_forecast() -> None:
    values = np.ones(LEAST_RESIDUALS + HORIZON)
    assert told(values[:-1], values[:-1]) is None
    assert told(values, values) is not None
    assert told(np.ones(3), np.ones(3)) is None


def test_a_constant_is_forecast_as_it_is() -> None:
    found = ahead(np.full(LONG, 5.0))
    assert found.value == pytest.approx(5.0)
    assert found.expected == pytest.approx(5.0)
    assert found.skill == 0.0


def test_nothing_is_forecast_of_nothing() -> None:
    values = np.zeros(60)
    found = told(values, np.zeros(60))
    assert found is not None
    assert (found.value, found.expected) == (0.0, 0.0)


def test_a_trend_is_followed() -> None:
    values = np.linspace(2.0, 30.0, LONG)
    found = ahead(values)
    truth = values[-1] + HORIZON * (values[1] - values[0])
    assert found.expected == pytest.approx(truth, rel=0.05)
    assert 0.99 * truth <= found.value <= 1.1 * truth
    # Of the last value, the trend is the whole margin; the mean of the last blocks is far behind.
    assert found.models["mean"][2] < 1e-3


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("quantile", [0.8, 0.9, 0.97])
def test_the_quantile_covers_what_is_held_out(seed, quantile) -> None:
    rng = np.random.default_rng(seed)
    values = 10.0 + rng.gamma(2.0, 2.0, 900)
    covered = [
        values[end - 1 + HORIZON] <= ahead(values[:end], quantile=quantile).value
        for end in range(300, 890, 4)
    ]
    # Binomial: two and a half standard deviations of 148 forecasts; more is allowed above.
    deviation = np.sqrt(quantile * (1 - quantile) / len(covered))
    assert quantile - 2.5 * deviation <= np.mean(covered) <= min(1.0, quantile + 4 * deviation)


def test_a_season_longer_than_its_history_is_covered_on_its_way_up() -> None:
    steps = np.arange(1200)
    values = 20.0 + 15.0 * np.sin(2 * np.pi * steps / 240)
    late = [values[end - 1 + HORIZON] <= ahead(values[:end]).value * 1.02
            for end in range(500, 1190, 7)]  # fmt: skip
    assert np.mean(late) > 0.8


def test_bursts_are_prepared_for_by_how_often_they_came() -> None:
    values = np.full(300, 2.0)
    values[10::20] = 12.0
    often = ahead(values, quantile=0.97)
    assert often.value > 10.0
    # One burst in 300 blocks is not a 0.9 quantile.
    rare = np.full(300, 2.0)
    rare[150] = 12.0
    assert ahead(rare, quantile=0.9).value < 4.0


def test_after_one_peak_the_next_may_go_further_than_after_many() -> None:
    one, many = np.full(120, 2.0), np.full(120, 2.0)
    one[50:80] = 6.0
    many[5::10] = many[6::10] = many[7::10] = 6.0
    assert (episodes(one), episodes(many)) == (1, 12)
    assert ahead(one, quantile=0.97).value > ahead(many, quantile=0.97).value


def test_a_model_that_knows_nothing_gets_no_say(monkeypatch) -> None:
    rng = np.random.default_rng(5)
    values = 10.0 + rng.normal(0.0, 0.5, LONG)
    known = ahead(values)
    noise = rng.uniform(0.0, 100.0, LONG)
    monkeypatch.setattr(ensemble, "models", lambda *given: models(*given) | {"dice": noise})
    with_dice = ahead(values)
    assert with_dice.models["dice"][2] < 1e-6
    assert with_dice.value == pytest.approx(known.value, rel=1e-3)


def test_a_model_that_has_said_too_little_yet_is_left_out(monkeypatch) -> None:
    values = np.linspace(1.0, 2.0, 60)
    young, gone = values.copy(), values.copy()
    young[: 60 - HORIZON - LEAST_RESIDUALS + 1] = np.nan
    gone[-1] = np.nan
    more = {"young": young, "gone": gone}
    usual = set(ahead(values).models)
    monkeypatch.setattr(ensemble, "models", lambda *given: models(*given) | more)
    assert set(ahead(values).models) == usual
    young[60 - HORIZON - LEAST_RESIDUALS] = 1.0
    assert "young" in ahead(values).models


def test_weights_are_shares_and_the_value_lies_between_the_models() -> None:
    rng = np.random.default_rng(2)
    found = ahead(rng.gamma(2.0, 3.0, LONG))
    assert sum(weight for _, _, weight in found.models.values()) == pytest.approx(1.0)
    values = [value for value, _, _ in found.models.values()]
    assert min(values) <= found.value <= max(values)
    assert found.residuals == LONG - HORIZON


def test_skill_is_what_the_best_saves_of_the_naive_loss() -> None:
    rng = np.random.default_rng(2)
    noise = ahead(10.0 + rng.normal(0.0, 1.0, LONG))
    assert 0.1 < noise.skill < 0.6  # the mean beats the last value of white noise
    walk = ahead(50.0 + np.cumsum(rng.normal(0.0, 0.5, LONG)))
    assert walk.skill < noise.skill


def test_a_forecast_is_never_negative() -> None:
    falling = np.concatenate((np.linspace(40.0, 0.0, 100), np.zeros(30)))
    assert ahead(falling, quantile=0.6).value >= 0.0


def test_recent_misses_count_for_more_than_old_ones() -> None:
    rng = np.random.default_rng(4)
    wild, calm = 10.0 + rng.normal(0.0, 3.0, 600), np.full(600, 10.0)
    lately_calm = ahead(np.concatenate((wild, calm)), quantile=0.8)
    lately_wild = ahead(np.concatenate((calm, wild)), quantile=0.8)
    # After two and a half half-lives the old ones are a sixth of what counts.
    assert lately_calm.value < 10.2
    assert lately_wild.value > 11.5


def test_blocks_with_more_requests_count_for_more() -> None:
    values = np.full(200, 1.0)
    values[::10] = 9.0
    busy = np.where(values > 1.0, 100.0, 1.0)
    peaks = told(values, busy, quantile=0.8)
    quiet = told(values, 1.0 / busy, quantile=0.8)
    assert peaks is not None
    assert quiet is not None
    assert peaks.value > 8.0 > quiet.value


@pytest.mark.parametrize(
    ("count", "quantile", "expected"),
    [
        # One further value counts as infinite: the k-th of n where k/(n + 1) reaches the quantile.
        (9, 0.5, 5.0),
        (9, 0.8, 8.0),
        (9, 0.9, 9.0),
        (9, 0.95, 9.0),
        (19, 0.95, 19.0),
        (39, 0.95, 38.0),
        (1, 0.5, 1.0),
        # Without it, the fifth of ten and the 18th of twenty.
        (10, 0.5, 6.0),
        (20, 0.9, 19.0),
    ],
)
def test_the_quantile_is_corrected_for_few_values(count, quantile, expected) -> None:
    values = np.arange(1.0, count + 1)[::-1]
    assert Residuals.of(values, np.ones(count)).quantile(quantile - 1e-9) == expected


def test_the_quantile_of_unequal_weights() -> None:
    # Weights 1, 2, 7 and a further one of their mean: 10/3. 0.7 of 13.3 is 9.3: within the third.
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([7.0, 1.0, 2.0])
    residuals = Residuals.of(values, weights)
    assert residuals.quantile(0.7) == 3.0
    assert residuals.quantile(0.2) == 2.0
    assert residuals.quantile(0.07) == 1.0


def test_of_whatever_quantile_it_is_the_same_as_if_all_were_sorted() -> None:
    random = np.random.default_rng(1)
    for count in (1, 3, 40, 500):
        values, weights = (
            random.permutation(float(count) + np.arange(count)),
            random.poisson(3, count),
        )
        weights = weights + 1.0
        some, every = Residuals.of(values, weights), Residuals.of(values, weights, 1.0)
        rising = np.argsort(values)
        reached = np.cumsum(weights[rising])
        for quantile in (0.05, 0.5, 0.8, 0.95, 0.999):
            place = reached.searchsorted(quantile * (weights.sum() + weights.mean()))
            expected = values[rising[min(int(place), count - 1)]]
            assert some.quantile(quantile) == every.quantile(quantile) == expected


def test_one_backtest_serves_every_quantile() -> None:
    values = np.random.default_rng(2).random(60).cumsum()
    truths, weights = values[:, None] + np.zeros((60, 10)), np.ones((60, 10))
    tested = backtest(values, truths, weights, 3)
    assert tested is not None
    for quantile in (0.6, 0.95):
        assert tested.forecast(quantile) == forecast(values, truths, weights, 3, quantile)


def test_smoothing_starts_as_a_plain_mean() -> None:
    values = np.array([4.0, 8.0, 3.0])
    assert smoothed(values, 100.0).tolist() == pytest.approx([4.0, 6.0, 5.0])
    step = np.concatenate((np.zeros(50), np.ones(50)))
    after = smoothed(step, 10.0)[50:]
    assert after[9] == pytest.approx(1.0 - np.exp(-1.0), abs=1e-6)


def test_parts_of_a_block_count_by_their_requests() -> None:
    levels = np.full(200, 5.0)
    truths = np.tile([4.0, 9.0], (200, 1))
    # One request in a hundred meets the nine: a 0.9 quantile need not be ready for it.
    few = forecast(levels, truths, np.tile([99.0, 1.0], (200, 1)), HORIZON, 0.9)
    many = forecast(levels, truths, np.tile([80.0, 20.0], (200, 1)), HORIZON, 0.9)
    assert few is not None
    assert many is not None
    assert (few.value, many.value) == (pytest.approx(4.0), pytest.approx(9.0, rel=0.7))
    assert many.value >= 9.0


def test_a_model_that_only_knows_blocks_without_requests_has_no_say(monkeypatch) -> None:
    values = np.linspace(1.0, 2.0, 120)
    weights = np.where(np.arange(120) < 60, 1.0, 0.0)
    late = np.where(np.arange(120) < 60, np.nan, values)
    monkeypatch.setattr(ensemble, "models", lambda *given: models(*given) | {"late": late})
    found = told(values, weights)
    assert found is not None
    assert "late" not in found.models

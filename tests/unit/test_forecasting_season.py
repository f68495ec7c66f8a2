"""The day and the week: what the demand was at this time of day before."""

import numpy as np
import pytest

from poolwright.forecasting.ensemble import forecast
from poolwright.forecasting.season import BIN_S, BINS_A_DAY, DAYS, Season

MONDAY = 1_699_833_600.0
"""Midnight UTC of a Monday."""


def daily(at: float) -> float:
    """A swing of three to one, highest at noon."""
    return 2.0 - np.cos(2 * np.pi * at / 86400.0)


def filled(days: float, rate=daily, *, missing: range = range(0)) -> Season:
    season = Season()
    first = int(MONDAY // BIN_S)
    for number in range(first, first + int(days * BINS_A_DAY)):
        if number - first not in missing:
            season.put(number, rate((number + 0.5) * BIN_S))
    return season


def test_a_day_is_needed_before_there_is_an_opinion() -> None:
    at = np.array([MONDAY + 0.9 * 86400.0])
    assert np.isnan(filled(0.9).ratios(at, 300.0)).all()
    assert np.isnan(Season().ratios(at, 300.0)).all()


def test_the_ratio_is_how_the_demand_changed_on_earlier_days() -> None:
    at = MONDAY + 3 * 86400.0 + np.arange(0.0, 86400.0, 3600.0)
    season = filled(3)
    expected = [daily(t + 1200.0) / daily(t) for t in at[:-1]]
    assert season.ratios(at[:-1], 1200.0) == pytest.approx(expected, rel=0.02)


def test_the_same_weekday_counts_twice() -> None:
    def weekend(at: float) -> float:
        return 1.0 if (at - MONDAY) // 86400.0 % 7 < 5 else 3.0

    season = filled(7, lambda at: weekend(at) * (1.0 + at % 86400.0 / 86400.0))
    noon = np.array([MONDAY + 7 * 86400.0 + 43200.0])
    assert season.ratios(noon, 3600.0) == pytest.approx([(1.5 + 1 / 24) / 1.5], rel=0.01)


def test_bins_without_telemetry_are_unknown_and_not_zero() -> None:
    gap = range(60, 90)
    season = filled(2, missing=gap)
    at = np.array([MONDAY + 2 * 86400.0 + 75 * BIN_S])
    only_second_day = season.ratios(at, 600.0)
    assert np.isfinite(only_second_day).all()
    assert np.isnan(filled(1.5, missing=gap).ratios(at - 86400.0, 600.0)).all()


def test_a_fortnight_is_kept_and_no_more() -> None:
    season = filled(DAYS + 3)
    first = int(MONDAY // BIN_S)
    season.put(first, 1e9)
    assert season.newest == first + (DAYS + 3) * BINS_A_DAY - 1
    assert np.nanmax(season.means) < 10.0


def test_a_ratio_is_bounded() -> None:
    season = filled(2, lambda at: 1e-3 if at % 86400.0 < 43200.0 else 1e3)
    at = np.array([MONDAY + 2 * 86400.0 + 43200.0 - 900.0])
    assert season.ratios(at, 1800.0).tolist() == [4.0]


def test_a_season_that_knows_the_ramp_earns_its_say() -> None:
    blocks = np.arange(300)
    ramps = 5.0 + 4.0 * (np.sin(blocks / 12.0) > 0)
    ratios = np.roll(ramps, -18) / ramps
    found = forecast(ramps, np.ones(300), 18, 0.97, ratios)
    assert found is not None
    assert found.models["season"][2] > 0.5

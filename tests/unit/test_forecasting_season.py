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


def test_history_fills_what_is_unknown_and_nothing_else() -> None:
    first = int(MONDAY // BIN_S)
    season = filled(2, missing=range(60, 90))
    measured = season.means.copy()
    assert season.fill(first + 50, np.full(50, 9.0)) == 30
    index = np.arange(first + 60, first + 90) % len(season.means)
    assert season.means[index].tolist() == [9.0] * 30
    measured[index] = 9.0
    assert np.array_equal(season.means, measured, equal_nan=True)


def test_unknown_history_stays_unknown_and_a_measured_bin_replaces_it() -> None:
    season = Season()
    assert season.fill(100, np.array([np.nan, np.nan])) == 0
    assert season.newest is None
    assert season.fill(100, np.array([np.nan, 2.0, np.nan, 4.0, np.nan])) == 2
    assert (season.oldest, season.newest) == (101, 103)
    assert np.flatnonzero(~np.isnan(season.means)).tolist() == [101, 103]
    season.put(103, 5.0)
    season.put(105, 6.0)
    assert season.fill(101, np.full(5, 1.0)) == 2
    assert season.means[101:106].tolist() == [2.0, 1.0, 5.0, 1.0, 6.0]


def test_history_after_a_long_absence_clears_what_the_ring_held_before() -> None:
    season = filled(2)
    newest = season.newest
    assert newest is not None
    bins = len(season.means)
    assert season.fill(newest + bins - 3, np.array([1.0, 2.0])) == 2
    # All that is left of the first two days are the bins that are younger than a fortnight.
    assert np.flatnonzero(~np.isnan(season.means)).tolist() == sorted(
        number % bins for number in (newest - 1, newest, newest + bins - 3, newest + bins - 2)
    )
    # Older than a fortnight: left out.
    assert season.fill(newest - 5, np.full(3, 7.0)) == 0


def test_a_warmed_season_has_an_opinion_at_once() -> None:
    season = Season()
    first = int(MONDAY // BIN_S)
    season.fill(first, np.array([daily((first + n + 0.5) * BIN_S) for n in range(3 * BINS_A_DAY)]))
    at = np.array([MONDAY + 3 * 86400.0 + 6 * 3600.0])
    assert season.ratios(at, 1200.0) == pytest.approx(
        [daily(at[0] + 1200.0) / daily(at[0])], rel=0.02
    )


def test_a_ratio_is_bounded() -> None:
    season = filled(2, lambda at: 1e-3 if at % 86400.0 < 43200.0 else 1e3)
    at = np.array([MONDAY + 2 * 86400.0 + 43200.0 - 900.0])
    assert season.ratios(at, 1800.0).tolist() == [4.0]


def test_a_season_that_knows_the_ramp_earns_its_say() -> None:
    blocks = np.arange(300)
    ramps = 5.0 + 4.0 * (np.sin(blocks / 12.0) > 0)
    ratios = np.roll(ramps, -18) / ramps
    found = forecast(ramps, ramps[:, None], np.ones((300, 1)), 18, 0.97, ratios)
    assert found is not None
    assert found.models["season"][2] > 0.5

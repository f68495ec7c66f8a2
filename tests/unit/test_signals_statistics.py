"""Each statistic over samples and over replicas, and what has no value."""

import math

import numpy as np
import pytest

from poolwright.signals.statistics import (
    FEW,
    IN_TURN,
    across_replicas,
    percentile,
    statistic,
    total,
)


@pytest.mark.parametrize(
    ("stat", "expected"),
    [
        ("count", 4.0),
        ("sum", 20.0),
        ("rate", 2.0),
        ("avg", 5.0),
        ("min", 1.0),
        ("max", 10.0),
        ("last", 6.0),
        ("p50", 4.5),
        ("p90", 8.8),
        ("p99", 9.88),
        ("slope", -1.4),
    ],
)
def test_statistic(stat: str, expected: float) -> None:
    at, values = np.array([2.0, 4.0, 1.0, 3.0]), np.array([3.0, 6.0, 10.0, 1.0])
    assert statistic(stat, at, values, 10.0) == pytest.approx(expected)


@pytest.mark.parametrize("stat", ["count", "sum", "rate"])
def test_nothing_counts_as_zero(stat: str) -> None:
    assert statistic(stat, np.empty(0), np.empty(0), 10.0) == 0.0


@pytest.mark.parametrize("stat", ["avg", "min", "max", "last", "slope", "p95"])
def test_nothing_has_no_value(stat: str) -> None:
    assert math.isnan(statistic(stat, np.empty(0), np.empty(0), 10.0))


def test_slope_of_one_instant_has_no_value() -> None:
    assert math.isnan(statistic("slope", np.array([5.0, 5.0]), np.array([1.0, 2.0]), 10.0))


def test_slope_of_one_instant_is_not_an_error_of_rounding() -> None:
    at = np.full(7, 1_700_000_000.1)
    assert math.isnan(statistic("slope", at, np.arange(7.0), 10.0))


def test_last_of_equal_times_does_not_depend_on_order() -> None:
    at = np.array([1.0, 5.0, 5.0])
    assert statistic("last", at, np.array([9.0, 2.0, 3.0]), 10.0) == 3.0
    assert statistic("last", at, np.array([9.0, 3.0, 2.0]), 10.0) == 3.0


@pytest.mark.parametrize(
    ("how", "expected"), [("sum", 12.0), ("avg", 4.0), ("min", 1.0), ("max", 8.0), ("p50", 3.0)]
)
def test_across(how: str, expected: float) -> None:
    assert across_replicas(how, [8.0, 1.0, 3.0]) == expected


@pytest.mark.parametrize("count", [0, 1, 2, IN_TURN, IN_TURN + 1, FEW, FEW + 1, 200])
def test_plain_floats_have_the_digits_of_numpy(count: int) -> None:
    random = np.random.default_rng(count)
    for _ in range(200):
        values = random.standard_normal(count) * 10.0 ** random.integers(-8, 8, count)
        assert total(values) == float(values.sum())
        for percent in (0.0, 5.0, 50.0, 95.0, 99.9, 100.0)[: 6 * min(count, 1)]:
            assert percentile(values.tolist(), percent) == np.percentile(values, percent)

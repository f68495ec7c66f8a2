"""The sketch keeps its stated error, merges exactly, and has OpenTelemetry's buckets."""

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.signals.sketch import (
    BUCKETS,
    HIGHEST,
    LOWEST,
    PER_OCTAVE,
    RELATIVE_ERROR,
    Sketch,
    position,
    positions,
    quantile_of,
)

SMALLEST, LARGEST = 2.0**LOWEST, 2.0**HIGHEST
covered = st.floats(SMALLEST, LARGEST, exclude_min=True)
anything = st.floats(0, allow_infinity=False) | st.integers(0, 1 << 30).map(float)
percents = st.floats(0, 100)


def near_a_bound(index: int, steps: int) -> float:
    value = 2.0 ** (index / PER_OCTAVE)
    for _ in range(abs(steps)):
        value = float(np.nextafter(value, np.inf if steps > 0 else 0.0))
    return value


bounds = st.builds(
    near_a_bound,
    st.integers(LOWEST * PER_OCTAVE + 1, HIGHEST * PER_OCTAVE - 1),
    st.integers(-3, 3),
)


def exact(values: list[float], percent: float) -> float:
    return sorted(values)[max(ceil(percent * len(values) / 100), 1) - 1]


def test_the_stated_error_is_below_one_percent() -> None:
    assert RELATIVE_ERROR < 0.006


@given(st.lists(covered | bounds, min_size=1), percents)
def test_a_quantile_is_within_the_stated_error(values: list[float], percent: float) -> None:
    wanted = exact(values, percent)
    found = Sketch.of(np.array(values)).quantile(percent)
    assert abs(found - wanted) <= RELATIVE_ERROR * wanted * (1 + 1e-12)


@given(st.lists(anything, min_size=1), percents)
def test_what_is_out_of_range_stays_on_its_side(values: list[float], percent: float) -> None:
    wanted = exact(values, percent)
    found = Sketch.of(np.array(values)).quantile(percent)
    assert min(values) <= found <= max(values)
    if wanted <= SMALLEST:
        assert abs(found - wanted) <= SMALLEST
    elif wanted > LARGEST:
        assert found == max(values)


@given(anything | bounds)
def test_one_value_is_in_the_bucket_that_it_has_among_many(value: float) -> None:
    assert position(value) == positions(np.array([value]))[0]


@given(st.lists(anything | bounds, min_size=1), percents)
def test_values_at_hand_have_the_quantile_of_their_sketch(
    values: list[float], percent: float
) -> None:
    of_values = np.array(values)
    assert quantile_of(of_values, percent) == Sketch.of(of_values).quantile(percent)


@given(covered | bounds)
def test_buckets_are_those_of_an_exponential_histogram(value: float) -> None:
    """base^i < value <= base^(i + 1), in exact arithmetic."""
    index = int(positions(np.array([value]))[0]) - 1 + LOWEST * PER_OCTAVE
    power = Fraction(value) ** PER_OCTAVE
    assert Fraction(2) ** index < power <= Fraction(2) ** (index + 1)


def test_positions_of_the_ends() -> None:
    values = np.array([0.0, -0.0, 5e-324, SMALLEST, np.nextafter(SMALLEST, 1), LARGEST, 1.7e308])
    assert positions(values).tolist() == [0, 0, 0, 0, 1, BUCKETS - 1, BUCKETS - 1]


def parts(sketch: Sketch) -> tuple:
    return sketch.counts.tolist(), sketch.low, sketch.high


@given(st.tuples(*[st.lists(anything)] * 3))
def test_merging_is_exact_in_any_order_and_grouping(lists: tuple[list[float], ...]) -> None:
    one, two, three = (Sketch.of(np.array(values, float)) for values in lists)
    merged = one.merge(two).merge(three)
    assert parts(merged) == parts(one.merge(two.merge(three)))
    assert parts(merged) == parts(three.merge(one).merge(two))
    together = Sketch.of(np.array([v for values in lists for v in values], float))
    assert parts(merged) == parts(together)
    assert merged.count == sum(map(len, lists))
    assert merged.total == pytest.approx(together.total, rel=1e-12)

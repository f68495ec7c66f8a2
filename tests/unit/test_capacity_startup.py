"""Start-up times by reports and corrections by outcomes."""

import numpy as np
import pytest

from poolwright.capacity.calibration import (
    FIRST,
    LARGEST,
    LEAST_LEEWAY,
    LEEWAY,
    MOST_LEEWAY,
    SMALLEST,
    Calibration,
)
from poolwright.capacity.startup import KEPT, MOST_ORDERS, OVERDUE, StartupTimes


def told(*reports: tuple[float, int, int]) -> StartupTimes:
    times = StartupTimes()
    for report in reports:
        times.report(*report)
    return times


def test_a_replica_that_becomes_ready_was_the_oldest_order() -> None:
    times = told((0, 2, 0), (10, 2, 1), (40, 2, 2), (100, 3, 1), (145, 4, 0))
    assert list(times.seconds) == [90.0, 105.0]
    assert list(times.orders) == [10, 40]


def test_what_starts_before_the_first_report_has_no_known_time() -> None:
    times = told((0, 0, 3), (50, 3, 0))
    assert list(times.seconds) == []


def test_a_cancelled_order_leaves_without_a_time() -> None:
    # Of two, the newer is cancelled; the older becomes ready.
    times = told((0, 1, 0), (10, 1, 1), (20, 1, 2), (30, 1, 1), (70, 2, 0))
    assert list(times.seconds) == [60.0]
    # And one that is given up counts for nothing later.
    times = told((0, 1, 0), (10, 1, 1), (20, 1, 0), (500, 2, 0))
    assert list(times.seconds) == []


def test_a_replica_that_dies_and_comes_back_is_a_start_of_its_own() -> None:
    times = told((0, 3, 0), (10, 2, 0), (11, 2, 1), (71, 3, 0))
    assert list(times.seconds) == [60.0]


def test_times_that_cannot_be_are_left_out() -> None:
    # Ordered and ready within one report; and after more than an hour.
    assert list(told((0, 0, 0), (10, 1, 0)).seconds) == []
    assert list(told((0, 0, 0), (10, 0, 1), (4000, 1, 0)).seconds) == []


def test_a_few_measured_times_count_with_the_declared_one() -> None:
    times = StartupTimes()
    assert times.p95_s(180.0) == 180.0
    times.seconds.extend([60.0] * 4)
    assert 60.0 < times.p95_s(180.0) <= 180.0
    times.seconds.append(60.0)
    assert times.p95_s(180.0) == 60.0


def test_only_the_last_ones_are_kept() -> None:
    times = StartupTimes()
    for n in range(MOST_ORDERS + 5):
        times.report(n * 1000.0, n, 1)
        times.report(n * 1000.0 + 100 + n, n + 1, 0)
    assert times.seconds == [100.0 + n for n in range(MOST_ORDERS + 5 - KEPT, MOST_ORDERS + 5)]
    assert len(times.orders) == MOST_ORDERS
    assert times.orders[-1] == (MOST_ORDERS + 4) * 1000.0


def test_what_should_long_have_come_is_overdue() -> None:
    times = told((0, 1, 0), (10, 1, 1), (100, 1, 2))
    longest_s = OVERDUE * 60.0
    assert times.overdue(10 + longest_s, 60.0) == 0
    assert times.overdue(11 + longest_s, 60.0) == 1
    assert times.overdue(101 + longest_s, 60.0) == 2


def test_a_lease_runs_from_the_order() -> None:
    times = told((0, 1, 0), (10, 1, 1), (100, 2, 1))
    assert times.leased(109, 3600.0) == 2
    assert times.leased(3610, 3600.0) == 1
    assert times.leased(109, 0.0) == 0


def test_a_correction_grows_while_more_miss_than_may() -> None:
    correction = Calibration()
    assert correction.factor == pytest.approx(FIRST)
    for _ in range(3):
        correction.observe(100, 10, 0, 0.99, 0.5)
    assert correction.factor > 1.2
    for _ in range(100):
        correction.observe(100, 100, 0, 0.99, 0.5)
    assert correction.factor == pytest.approx(LARGEST)


def test_a_correction_shrinks_to_one_while_none_miss() -> None:
    correction = Calibration()
    before = correction.factor
    correction.observe(100, 0, 0, 0.99, 1.0)
    assert 1.0 < correction.factor < before
    for _ in range(100):
        correction.observe(1000, 0, 0, 0.99, 1.0)
    assert correction.factor == 1.0


def test_as_many_misses_as_may_be_change_nothing() -> None:
    correction = Calibration()
    correction.observe(1000, 5, 0, 0.99, 1.0)
    assert correction.factor == pytest.approx(FIRST)


def test_misses_that_the_model_foresaw_are_no_mistake_of_it() -> None:
    correction = Calibration()
    correction.observe(1000, 205, 200, 0.99, 1.0)
    assert correction.factor == pytest.approx(FIRST)
    # Foreseen, and not come: the model asks for too much, even where it was not corrected.
    for _ in range(100):
        correction.observe(1000, 0, 200, 0.99, 1.0)
    assert correction.factor == pytest.approx(SMALLEST)
    # Without such a test it stays as it is.
    correction.observe(1000, 0, 0, 0.99, 1.0)
    assert correction.factor == pytest.approx(SMALLEST)


def test_the_tail_to_be_ready_for_follows_what_was_missed_in_all() -> None:
    kept = Calibration()
    before = kept.quantile("chat", 0.99)
    assert before == pytest.approx(1.0 - LEEWAY * 0.01)
    # Fewer missed than may: more arrivals may be short, up to a bound.
    kept.attained("chat", 1000, 0, 0.99, 1.0)
    assert kept.quantile("chat", 0.99) < before
    for _ in range(100):
        kept.attained("chat", 1000, 0, 0.99, 1.0)
    assert kept.quantile("chat", 0.99) == pytest.approx(1.0 - MOST_LEEWAY * 0.01)
    for _ in range(100):
        kept.attained("chat", 1000, 50, 0.99, 1.0)
    assert kept.quantile("chat", 0.99) == pytest.approx(1.0 - LEAST_LEEWAY * 0.01)


def test_each_class_has_a_leeway_of_its_own() -> None:
    kept = Calibration()
    for _ in range(100):
        kept.attained("batch", 1000, 0, 0.9, 1.0)
    assert kept.quantile("batch", 0.9) == pytest.approx(1.0 - MOST_LEEWAY * 0.1)
    assert kept.quantile("chat", 0.99) == pytest.approx(1.0 - LEEWAY * 0.01)


def test_the_tail_of_a_lax_attainment_is_still_a_quantile() -> None:
    kept = Calibration()
    for _ in range(100):
        kept.attained("chat", 1000, 0, 0.5, 1.0)
    assert kept.quantile("chat", 0.5) == 0.5
    assert kept.quantile("chat", 0.8) == 0.5


def test_a_load_is_tested_once_enough_requests_have_met_it() -> None:
    met = Calibration()
    assert met.tested == 0.0
    met.meet(np.full(99, 0.5))
    assert met.tested == 0.0
    # One more at a heavier load has met the lighter one as well.
    met.meet(np.array([0.9]))
    assert met.tested == pytest.approx(0.525)
    met.meet(np.full(100, 7.0))
    assert met.tested == 1.0

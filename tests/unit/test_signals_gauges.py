"""Gauges of replicas: stat within a replica, across between them, and each status."""

import numpy as np
import pytest
from tests.unit.signals_bench import DEMAND, NAN, Bench, gauge, rules

from poolwright.model.rule import SignalRule
from poolwright.model.signal import SignalStatus, Unhealthy
from poolwright.signals.columns import SMALLEST, Columns

BOTH = [0, 1]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_stat_is_within_a_replica_and_across_between_them(bench: Bench) -> None:
    bench.waiting((90, "a", 2), (95, "a", 6), (90, "b", 10), (95, "b", 0))
    assert bench.ask(gauge("max", "sum"), 100, 2).value == 16.0
    assert bench.ask(gauge("avg", "max"), 100, 2).value == 5.0
    assert bench.ask(gauge("last", "sum"), 100, 2).value == 6.0
    signal = bench.ask(gauge("min", "avg"), 100, 2)
    assert (signal.value, signal.samples, signal.replicas_reporting, signal.age_s) == (1, 4, 2, 5)
    assert signal.status is SignalStatus.FRESH


def test_the_window_is_open_at_its_old_end_and_closed_at_now(bench: Bench) -> None:
    bench.waiting((90, "a", 1), (100, "a", 2), (101, "a", 4))
    assert bench.ask(gauge("sum", window_s=10.0), 100).value == 2.0
    assert bench.ask(gauge("sum", window_s=10.1), 100).value == 3.0


def test_a_window_shorter_than_the_interval_has_the_newest_sample(bench: Bench) -> None:
    bench.waiting((80, "a", 3), (90, "a", 7))
    assert bench.ask(gauge("avg", window_s=5.0), 100).value == 7.0


def test_gauge_never_seen(bench: Bench) -> None:
    signal = bench.ask(gauge(), 100)
    assert (signal.status, signal.why) == (SignalStatus.MISSING, Unhealthy.NEVER_SEEN)
    assert signal.blocks_scale_down


def test_gauge_without_this_metric_has_no_samples(bench: Bench) -> None:
    bench.put(replicas=[(95, "a", {"requests_running": 1.0})])
    signal = bench.ask(gauge(), 100)
    assert (signal.status, signal.why) == (SignalStatus.MISSING, Unhealthy.NO_SAMPLES)


def test_gauge_too_old_is_stale(bench: Bench) -> None:
    bench.waiting((50, "a", 5))
    assert bench.ask(gauge(), 80).status is SignalStatus.FRESH
    signal = bench.ask(gauge(), 80.5)
    assert (signal.status, signal.why) == (SignalStatus.STALE, Unhealthy.TOO_OLD)
    assert (signal.value, signal.age_s) == (None, 30.5)


def test_gauge_without_quorum(bench: Bench) -> None:
    bench.waiting((95, "a", 5), (95, "b", 5), (50, "c", 5))
    assert bench.ask(gauge(), 100, 3).value == 10.0
    signal = bench.ask(gauge(), 100, 4)
    assert (signal.status, signal.why) == (SignalStatus.MISSING, Unhealthy.NO_QUORUM)
    assert (signal.value, signal.last_value, signal.replicas_reporting) == (None, 10.0, 2)


def test_gauge_of_no_replicas_is_idle(bench: Bench) -> None:
    signal = bench.ask(gauge(), 100, 0)
    assert signal.why is Unhealthy.IDLE
    assert not signal.blocks_scale_down


def test_the_same_replica_and_time_replaces(bench: Bench) -> None:
    bench.waiting((90, "a", 5), (95, "a", 1), (90, "a", 6))
    bench.waiting((90, "a", 7))
    bench.waiting((90, "b", 100))
    assert bench.store.duplicates == 2
    assert bench.ask(gauge("sum"), 100, 2).value == 108.0


def test_the_rate_of_a_counter_is_its_growth_over_resets(bench: Bench) -> None:
    counts = [(80, 1000), (85, 1500), (90, 200), (95, 700)]
    bench.put(
        replicas=[(at, "a", {"generation_tokens_total": float(n)}) for at, n in counts], now=1e9
    )
    counter = SignalRule("s", "generation_tokens_total", "rate", 60.0, "sum")
    assert bench.ask(counter, 100).value == (500 + 200 + 500) / 15
    one = SignalRule("s", "generation_tokens_total", "rate", 3.0, "sum", max_age_s=10.0)
    assert bench.ask(one, 96).value is None


def test_a_stale_gauge_keeps_its_last_value_for_people(bench: Bench) -> None:
    bench.waiting((50, "a", 7))
    signal = bench.ask(gauge(window_s=30.0), 100)
    assert (signal.why, signal.value, signal.last_value) == (Unhealthy.TOO_OLD, None, 7.0)


def test_replica_samples_out_of_order_across_batches(bench: Bench) -> None:
    bench.waiting((100, "a", 1))
    bench.waiting((80, "a", 9), (75, "a", 2))
    bench.waiting((101, "a", 5), (90, "a", 4))
    assert bench.ask(gauge("last"), 101).value == 5.0
    assert bench.ask(gauge("last"), 100).value == 1.0
    assert bench.ask(gauge("max", window_s=15.0), 101).value == 5.0


def test_samples_are_kept_as_long_as_a_rule_believes_them(bench: Bench) -> None:
    patient = gauge(max_age_s=500.0)
    bench.store.configure(rules(patient))
    bench.waiting((100, "a", 4))
    bench.store.advance(550)
    assert bench.ask(patient, 550).value == 4.0


def test_a_replica_that_is_gone_is_forgotten_and_may_return(bench: Bench) -> None:
    bench.waiting((100, "a", 4), (100, "b", 4))
    bench.waiting((400, "b", 3))
    bench.store.advance(400)
    assert bench.ask(gauge(), 400, 1).replicas_reporting == 1
    bench.waiting((401, "a", 1))
    assert bench.ask(gauge(), 401, 2).value == 4.0


def test_columns_give_their_memory_back() -> None:
    columns = Columns(2)
    columns.put(np.column_stack((np.arange(10_000.0), np.zeros(10_000))), BOTH)
    assert columns.evict(9_989.0)
    assert len(columns) == 10
    assert columns._rows.shape[0] <= SMALLEST
    assert not columns.evict(10_000.0)


def test_a_column_takes_memory_from_its_first_number_on() -> None:
    columns = Columns(5)
    columns.put(np.array([[1.0, NAN, 7.0, NAN, NAN]]), range(5))
    assert columns._rows.shape[1] == 2
    columns.put(np.array([[2.0, 3.0, NAN, NAN, NAN]]), [0, 1, 3])
    assert columns._rows.shape[1] == 3
    rows = columns.within(0.0, 2.0)
    wanted = [[1.0, 2.0], [NAN, 3.0], [7.0, NAN], [NAN, NAN], [NAN, NAN]]
    for number, column in enumerate(wanted):
        assert columns.column(rows, number).tolist() == pytest.approx(column, nan_ok=True)
    newest = columns.newest(0.0, 2.0)
    assert newest.tolist() == pytest.approx([2.0, 3.0, NAN, NAN, NAN], nan_ok=True)
    assert columns.newest(2.0, 3.0) is None
    loaded = Columns.from_bytes(5, columns.told, columns.to_bytes())
    assert loaded.to_bytes() == columns.to_bytes()


def test_as_many_rows_as_go_may_come_without_more_memory() -> None:
    columns = Columns(2)
    for at in range(0, 600, 10):
        columns.put(np.array([[at + 0.0, 1.0], [at + 5.0, 1.0]]), BOTH)
        columns.evict(at - 120.0)
        assert columns._rows.shape[0] == SMALLEST


def test_rows_behind_that_are_all_known_only_replace() -> None:
    columns = Columns(2)
    columns.put(np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), BOTH)
    assert columns.put(np.array([[1.0, 9.0], [2.0, 8.0]]), BOTH) == 2
    rows = columns.within(0.0, 3.0)
    assert columns.column(rows, 0).tolist() == [1.0, 2.0, 3.0]
    assert columns.column(rows, 1).tolist() == [9.0, 8.0, 3.0]


def test_the_work_of_another_service_is_not_ours(bench: Bench) -> None:
    bench.put(arrivals=[(10, 1)])
    bench.work(99, "a", 0, 0)
    assert bench.ask(DEMAND, 100).value == 0.0
    bench.put(replicas=[(99, "b", {"requests_waiting": 5.0})], service="other")
    assert bench.ask(DEMAND, 100).value == 0.0


def test_a_few_old_rows_are_not_worth_moving_the_others() -> None:
    columns = Columns(2)
    columns.put(np.column_stack((np.arange(20.0), np.zeros(20))), BOTH)
    assert columns.evict(4.0)
    assert len(columns) == 20
    assert columns.evict(5.0)
    assert len(columns) == 14

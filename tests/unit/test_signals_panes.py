"""Panes and their cells: bounded memory, eviction by block, checkpoints, odd numbers."""

import math

import msgspec
import numpy as np
import pytest
from tests.unit.signals_bench import DEMAND, Bench, rule, rules

from poolwright.model.rule import Mode, RuleSet, ServiceRule
from poolwright.model.signal import Unhealthy
from poolwright.signals.cells import Cells
from poolwright.signals.few import MOST
from poolwright.signals.panes import MOST_WAITING, PaneTable, SavedTable
from poolwright.signals.sketch import BUCKETS, Sketch
from poolwright.signals.store import REQUEST_METRICS, WindowStore
from poolwright.signals.summary import Summary

START = 1_000.0
OWNER = (0, 0)


def spread(count: int, seconds: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    """So many samples of one series, even in time, one metric beside the count."""
    generator = np.random.default_rng(seed)
    at = START + np.arange(count) * seconds / count
    ids = np.zeros((3, count), np.int32)
    return at, ids, np.stack((np.ones(count), generator.lognormal(-1.0, 0.6, count)))


def size(table: PaneTable) -> int:
    return sum(len(b.stats) + len(b.keys) + len(b.counts) for b in table.save().many)


def test_memory_does_not_grow_with_the_rate() -> None:
    sizes = []
    for rate in (20_000, 80_000):
        table = PaneTable(2)
        table.add(*spread(10 * rate, 10.0))
        sizes.append(size(table))
    assert sizes[1] < 1.2 * sizes[0]
    # Rows of a time and a value would be 12.8 MB.
    assert sizes[1] < 100_000


def test_a_series_that_tells_little_takes_little() -> None:
    sizes = []
    for most_few in (0, MOST):
        table = PaneTable(2, most_few=most_few)
        table.add(*spread(100, 100.0))
        sizes.append(sum(len(msgspec.msgpack.encode(part)) for part in table.save().few))
        sizes[-1] += sum(len(msgspec.msgpack.encode(part)) for part in table.save().many)
    assert sizes[1] < 0.3 * sizes[0]
    assert sizes[1] < 100 * 30 + 5 * 100, "time, pane and two numbers"


@pytest.mark.parametrize("most_few", [0, MOST])
def test_of_what_is_always_the_same_each_quantile_is_known(most_few: int) -> None:
    table = PaneTable(2, most_few=most_few)
    table.add(*spread(100, 10.0))
    assert table.window(OWNER, None, 0, START, START + 10.0).statistic("p95", 10.0) == 1.0


def test_few_and_many_have_the_quantile_of_many() -> None:
    found = []
    for most_few in (0, MOST):
        table = PaneTable(2, most_few=most_few)
        at, ids, values = spread(2 * MOST, 10.0)
        table.add(at, ids, values)
        table.add(at[::100] + 60.0, ids[:, ::100], values[:, ::100])
        found.append(table.window(OWNER, None, 1, START, START + 80.0).statistic("p95", 80.0))
    assert found[0] == found[1]


def test_numbers_take_as_few_bytes_as_are_exact() -> None:
    table = PaneTable(2)
    kinds = []
    for number in (2_047.0, 2_049.0, 16_777_217.0, 0.1):
        table.add(np.array([START]), np.zeros((3, 1), np.int32), np.array([[1.0], [number]]))
        kinds.append([kind for _, kind, _ in table.save().few[0].columns])
        found = table.window(OWNER, None, 1, START - 1, START + 1)
        assert found.statistic("max", 1.0) == max(number, 16_777_217.0 * (number == 0.1))
    assert kinds == [["<f2", "<f2"], ["<f2", "<f4"], ["<f2", "<f8"], ["<f2", "<f8"]]


def test_a_series_that_tells_much_is_kept_in_panes_for_the_rest_of_a_block() -> None:
    table = PaneTable(2, most_few=10)
    table.add(*spread(10, 5.0))
    assert table.save().many == []
    table.add(*spread(1, 1.0))
    assert [len(table.save().many), len(table.save().few[0].at)] == [2, 0]
    at, ids, values = spread(3, 1.0)
    table.add(at + 100.0, ids, values)
    assert len(table.save().many) == 2
    assert table.window(OWNER, None, 0, START - 1, START + 101).count == 14


def test_samples_wait_only_so_long() -> None:
    table = PaneTable(2)
    at, ids, values = spread(3 * MOST_WAITING, 10.0)
    for i in range(0, len(at), 1000):
        part = slice(i, i + 1000)
        table.add(at[part], ids[:, part], values[:, part])
        assert table._waits <= MOST_WAITING
    assert table.window(OWNER, None, 0, START - 1, START + 60).count == len(at)


def test_blocks_end_together() -> None:
    table = PaneTable(2)
    table.add(*spread(100, 100.0))
    everything = (OWNER, None, 0, 0.0, 2_000.0)
    assert table.window(*everything).count == 100
    # Blocks end at 1024, 1056, 1088, 1120.
    table.evict(1_055.0)
    assert table.window(*everything).count == 100 - 25
    table.evict(1_056.0)
    assert table.window(*everything).count == 100 - 57
    table.evict(2_000.0)
    assert table.save() == SavedTable([], [])


def test_a_loaded_table_goes_on_alike() -> None:
    table, other = PaneTable(2), PaneTable(2)
    table.add(*spread(500, 50.0))
    other.add(*spread(10, 500.0, seed=1))
    other.restore(table.save())
    for one in (table, other):
        one.add(*spread(300, 70.0, seed=2))
    assert other.save() == table.save()


def test_many_series_share_the_arrays_of_a_block() -> None:
    table = PaneTable(2)
    for series in range(40):
        at, ids, values = spread(10, 5.0)
        ids[1:] = [[series], [series % 3]]
        values[1] = series + 1.0
        table.add(at, ids, values)
        table.window((0, series), None, 0, 0.0, 0.0)  # settles: the block grows time and again
    for series in range(40):
        found = table.window((0, series), series % 3, 1, START - 1, START + 5)
        assert (found.count, found.statistic("p50", 5.0)) == (10, series + 1.0)
        assert table.window((0, series), series % 3 + 1, 1, START - 1, START + 5).count == 0


def test_times_beyond_all_clocks_are_kept_apart() -> None:
    table = PaneTable(2)
    at = np.array([2.0**50, 5.0, 1e300])
    table.add(at, np.zeros((3, 3), np.int32), np.array([[1.0] * 3, [7.0, 8.0, 9.0]]))
    assert table.window(OWNER, None, 1, 0.0, 10.0).statistic("max", 10.0) == 8.0
    assert table.newest(OWNER, 2.0**51) == 2.0**50
    far = table.window(OWNER, None, 1, 1e299, 1e301)
    assert math.isnan(far.statistic("slope", 1.0))


def test_absurd_sums_are_infinite_and_nobody_is_warned() -> None:
    table = PaneTable(2)
    table.add(
        np.array([1.0, 1.0, 2.5, 3.0]),
        np.zeros((3, 4), np.int32),
        np.array([[1.0] * 4, [1.7e308, 1.7e308, 1.0, 1.7e308]]),
    )
    found = table.window(OWNER, None, 1, 0.0, 3.0)
    assert found.statistic("avg", 3.0) == math.inf
    assert math.isnan(found.statistic("slope", 3.0))
    assert found.statistic("p50", 3.0) == 1.7e308


def test_nothing_has_no_quantile() -> None:
    assert math.isnan(Sketch.of(np.empty(0)).quantile(95))
    assert math.isnan(Summary([]).statistic("p95", 60.0))


@pytest.mark.parametrize(
    ("percent", "wanted"), [(0, 1.0), (25, 1.0), (26, 2.0), (50, 2.0), (75, 4.0), (100, 8.0)]
)
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(percent: float, wanted: float) -> None:
    found = Sketch.of(np.array([8.0, 1.0, 4.0, 2.0])).quantile(percent)
    assert found == pytest.approx(wanted, rel=0.0055)


def test_cells_count_what_was_added_whatever_the_order() -> None:
    generator = np.random.default_rng(3)
    keys = generator.integers(0, 50, 1000)
    cells = Cells()
    for start in range(0, 1000, 100):
        cells.add(keys[start : start + 100].copy())
    cells.add(np.empty(0, np.int64))
    found, counts = cells.between(0, 50)
    assert found.tolist() == sorted(set(keys.tolist()))
    assert counts.tolist() == np.bincount(keys)[found].tolist()
    assert len(cells) == len(found)
    assert cells.between(10, 12)[0].tolist() == [10, 11]


def test_a_window_shorter_than_a_pane_is_a_pane() -> None:
    bench = Bench()
    bench.put(requests=[(99.5, 1.0), (100.0, 3.0)])
    assert bench.ask(rule("rate", "rate", 0.2), 100.9).value == 2.0
    assert bench.ask(rule("ttft", "max", 0.2), 100.9).value == 3.0


def test_a_sample_is_seen_at_the_end_of_its_second_and_its_age_is_its_own() -> None:
    bench = Bench()
    bench.put(requests=[(99.25, 1.0), (99.75, 2.0)], arrivals=[(99.5, 1)])
    assert bench.ask(rule("rate", "rate"), 99.9).value is None
    signal = bench.ask(rule("ttft", "avg"), 100.0)
    assert (signal.value, signal.samples, signal.age_s) == (1.5, 2, 0.25)
    assert bench.ask(rule("arrivals", "count"), 100.0).age_s == 0.5
    # The pane that ends at 100 leaves a window of 10 s at 110, as a sample of 100 would.
    assert bench.ask(rule("ttft", "avg", 10.0), 109.9).value == 1.5
    assert bench.ask(rule("ttft", "avg", 10.0), 110.0).value is None


def test_a_store_has_a_pane_of_each_request_metric() -> None:
    assert WindowStore(Bench().names)._requests.metrics == len(REQUEST_METRICS)
    assert BUCKETS <= 1 << 12


def test_requests_that_no_signal_asks_for_are_not_kept() -> None:
    bench, ended = Bench(), rule("ttft", "count")
    asked = {"asked": (ended,), "other": (DEMAND,)}
    services = tuple(ServiceRule(n, Mode.ACT, (), (), s, ()) for n, s in asked.items())
    bench.store.configure(RuleSet("r", services))
    counts = {}
    for service in ("other", "asked"):
        bench.put(service=service, requests=[(100.0, 0.5)], replicas=[(100.0, "r", {})])
        counts[service] = bench.store.evaluate(
            ended, service=service, pool="gpu", at=101.0, expected_replicas=1
        ).value
    assert counts == {"other": 0.0, "asked": 1.0}


def test_only_the_metrics_that_signals_ask_for_take_memory() -> None:
    sizes = []
    for asked in (["ttft"], ["ttft", "rate", "input_tokens", "output_tokens"]):
        bench = Bench()
        bench.store.configure(rules(*(rule(metric, "avg") for metric in asked)))
        bench.put(requests=[(100.0 + i, 0.5 + i / 50) for i in range(32)])
        assert bench.ask(rule("ttft", "p50"), 132.0).value == pytest.approx(0.8, rel=0.0055)
        sizes.append(len(bench.store.dump()))
    # Of 32 requests two bytes a metric, as all of them are small whole numbers.
    assert sizes[1] - sizes[0] == pytest.approx(3 * 32 * 2, abs=130)


def test_a_metric_that_is_newly_asked_for_counts_once_its_window_is_whole() -> None:
    tokens, mean = rule("output_tokens", "rate"), rule("output_tokens", "avg")
    bench = Bench()
    bench.store.configure(rules(rule("ttft", "avg")))
    bench.put(requests=[(float(at), 1.0) for at in range(40, 101)])
    bench.store.configure(rules(rule("ttft", "avg"), tokens))
    bench.put(requests=[(float(at), 1.0) for at in range(101, 161)])
    # Half of a minute's tokens are no rate of the minute; the mean of those seen is one.
    partly = bench.ask(tokens, 130.0)
    assert (partly.value, partly.why, partly.samples) == (None, Unhealthy.NO_SAMPLES, 30)
    assert partly.blocks_scale_down
    assert bench.ask(mean, 130.0).value == 10.0
    again = Bench()
    again.names = bench.names
    again.store = WindowStore(bench.names)
    again.store.load(bench.store.dump())
    for one in (bench, again):
        # Asking for it goes on, whatever else the rules change.
        one.store.configure(rules(tokens))
        assert one.ask(tokens, 159.9).value is None
        assert one.ask(tokens, 160.0).value == 10.0


def test_tokens_of_arrivals_that_are_newly_asked_for() -> None:
    bench, tokens = Bench(), rule("arrival_tokens", "sum", max_age_s=60.0)
    bench.store.configure(rules(DEMAND))
    bench.put(arrivals=[(float(at), 5) for at in range(1, 101)])
    bench.store.configure(rules(DEMAND, tokens))
    bench.put(arrivals=[(float(at), 5) for at in range(101, 161)])
    assert bench.ask(tokens, 159.0).why is Unhealthy.NO_SAMPLES
    assert bench.ask(tokens, 160.0).value == 300.0
    assert bench.ask(rule("arrivals", "count"), 130.0).value == 60.0
    assert bench.ask(rule("arrival_tokens", "avg"), 110.0).value == 5.0


def test_a_service_that_was_not_seen_before_has_missed_nothing() -> None:
    bench, tokens = Bench(), rule("output_tokens", "sum")
    bench.store.configure(rules())
    bench.put(service="other", requests=[(100.0, 1.0)])
    bench.store.configure(rules(tokens))
    bench.put(requests=[(101.0, 1.0)])
    assert bench.ask(tokens, 102.0).value == 10.0

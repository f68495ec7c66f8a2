"""Windows by event time: each statistic, each status, and what is not counted."""

import math

import msgspec
import numpy as np
import pytest

from poolwright.model.names import NameTable
from poolwright.model.rule import Mode, RuleSet, ServiceRule, SignalRule
from poolwright.model.sample import (
    REPLICA_METRICS,
    ArrivalBatch,
    ReplicaBatch,
    RequestBatch,
    SampleBatch,
)
from poolwright.model.signal import SignalStatus, Unhealthy
from poolwright.signals.columns import SMALLEST, Columns
from poolwright.signals.statistics import across_replicas, statistic
from poolwright.signals.store import FORMAT, WindowStore

NAN = float("nan")
DEMAND = SignalRule("demand", "demand", "last", 60.0, builtin=True)


class Bench:
    """A store with short ways to put samples in and to ask for signals."""

    def __init__(self) -> None:
        self.names = NameTable()
        self.store = WindowStore(self.names)

    def put(self, *, arrivals=(), requests=(), replicas=(), now=1e9) -> None:
        """Arrivals (at, tokens[, class]), requests (at, ttft[, class]), replicas (at, id, {})."""
        ids = lambda names: np.array([self.names.intern(n) for n in names], np.int32)  # noqa: E731
        arrivals = [(*a, "")[:3] for a in arrivals]
        requests = [(*r, "")[:3] for r in requests]
        count, nans = len(requests), np.full(len(requests), NAN)
        batch = SampleBatch(
            self.names,
            ArrivalBatch(
                np.array([a[0] for a in arrivals], float),
                ids(["chat"] * len(arrivals)),
                ids([a[2] for a in arrivals]),
                np.array([a[1] for a in arrivals], float),
            ),
            RequestBatch(
                np.array([r[0] for r in requests], float),
                ids(["chat"] * count),
                ids(["gpu"] * count),
                ids(["r"] * count),
                ids([r[2] for r in requests]),
                np.full(count, 100.0),
                np.full(count, 10.0),
                np.array([r[1] for r in requests], float),
                nans,
                nans,
                np.ones(count, bool),
            ),
            ReplicaBatch(
                np.array([r[0] for r in replicas], float),
                ids(["chat"] * len(replicas)),
                ids(["gpu"] * len(replicas)),
                ids([r[1] for r in replicas]),
                np.array(
                    [[r[2].get(m, NAN) for m in REPLICA_METRICS] for r in replicas], float
                ).reshape(-1, len(REPLICA_METRICS)),
            ),
        )
        self.store.ingest(batch, at=now)

    def waiting(self, *samples: tuple[float, str, float], now: float = 1e9) -> None:
        self.put(replicas=[(at, name, {"requests_waiting": v}) for at, name, v in samples], now=now)

    def work(self, at: float, name: str, running: float, waiting: float) -> None:
        metrics = {"requests_running": running, "requests_waiting": waiting}
        self.put(replicas=[(at, name, metrics)], now=1e9)

    def ask(self, rule: SignalRule, at: float, expected: int = 1):
        return self.store.evaluate(
            rule, service="chat", pool="gpu", at=at, expected_replicas=expected
        )


@pytest.fixture
def bench() -> Bench:
    return Bench()


def gauge(stat: str = "last", across: str = "sum", window_s: float = 60.0, **more) -> SignalRule:
    return SignalRule("s", "requests_waiting", stat, window_s, across, **more)


def rule(metric: str, stat: str, window_s: float = 60.0, **more) -> SignalRule:
    return SignalRule("s", metric, stat, window_s, **more)


# --- statistics ------------------------------------------------------------------------------


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


# --- gauges ----------------------------------------------------------------------------------


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


# --- requests --------------------------------------------------------------------------------


def test_request_statistics_of_a_class(bench: Bench) -> None:
    bench.put(requests=[(90, 1.0, "x"), (95, 3.0, "x"), (96, 50.0, "y"), (97, NAN, "x")])
    assert bench.ask(rule("ttft", "avg", request_class="x"), 100).value == 2.0
    assert bench.ask(rule("ttft", "max"), 100).value == 50.0
    assert bench.ask(rule("rate", "avg"), 100).value == pytest.approx(4 / 60)
    assert bench.ask(rule("output_tokens", "rate"), 100).value == pytest.approx(40 / 60)
    assert bench.ask(rule("ttft", "avg", request_class="z"), 100).why is Unhealthy.NO_SAMPLES


def test_no_request_while_replicas_have_work_or_are_silent(bench: Bench) -> None:
    assert bench.ask(rule("ttft", "avg"), 100).why is Unhealthy.NO_SAMPLES
    assert bench.ask(rule("rate", "rate"), 100).why is Unhealthy.NO_SAMPLES
    bench.waiting((95, "a", 1))
    assert bench.ask(rule("ttft", "avg"), 100).why is Unhealthy.NO_SAMPLES
    assert bench.ask(rule("rate", "rate"), 100).value == 0.0


def test_no_request_because_there_was_none_is_idle(bench: Bench) -> None:
    bench.put(replicas=[(95, "a", {"requests_running": 0.0, "requests_waiting": 0.0})])
    signal = bench.ask(rule("ttft", "p95"), 100)
    assert (signal.why, signal.blocks_scale_down) == (Unhealthy.IDLE, False)
    assert bench.ask(rule("ttft", "p95"), 100, 2).why is Unhealthy.NO_SAMPLES
    assert bench.ask(rule("rate", "rate"), 100, 0).why is Unhealthy.IDLE


# --- arrivals and demand ---------------------------------------------------------------------


def test_arrivals(bench: Bench) -> None:
    bench.put(arrivals=[(50, 10), (80, 30, "x"), (90, NAN)])
    assert bench.ask(rule("arrivals", "rate"), 100).value == pytest.approx(3 / 60)
    assert bench.ask(rule("arrivals", "count", request_class="x"), 100).value == 1.0
    assert bench.ask(rule("arrival_tokens", "sum"), 100).value == 40.0
    # A request that does not tell its tokens is not one of zero tokens.
    assert bench.ask(rule("arrival_tokens", "avg"), 100).value == 20.0


def test_arrivals_statuses(bench: Bench) -> None:
    assert bench.ask(rule("arrivals", "rate"), 100).why is Unhealthy.NEVER_SEEN
    bench.put(arrivals=[(50, 10)])
    stale = bench.ask(rule("arrivals", "rate"), 100)
    assert (stale.status, stale.why) == (SignalStatus.STALE, Unhealthy.TOO_OLD)
    # A silent gateway: replicas with work, or that do not say, are no proof of no arrivals.
    bench.work(98, "a", 40, 0)
    assert bench.ask(rule("arrivals", "rate", 10.0), 100).status is SignalStatus.STALE
    bench.waiting((99, "a", 0))
    assert bench.ask(rule("arrivals", "rate", 10.0), 100).status is SignalStatus.STALE
    bench.work(100, "a", 0, 0)
    assert bench.ask(rule("arrivals", "rate", 10.0), 100).value == 0.0
    assert bench.ask(rule("arrival_tokens", "avg", 10.0), 100).why is Unhealthy.NO_SAMPLES


def test_demand_is_arrivals_and_what_waits(bench: Bench) -> None:
    assert bench.ask(DEMAND, 100).why is Unhealthy.NEVER_SEEN
    bench.put(arrivals=[(at, NAN) for at in range(41, 101)])
    assert bench.ask(DEMAND, 100).value == 1.0
    bench.waiting((80, "a", 500), (90, "a", 60), (69, "b", 600))
    signal = bench.ask(DEMAND, 100)
    assert (signal.value, signal.replicas_reporting) == (2.0, 1)


def test_demand_without_arrivals_is_believed_only_of_idle_replicas(bench: Bench) -> None:
    bench.put(arrivals=[(10, NAN)])
    assert bench.ask(DEMAND, 100).why is Unhealthy.TOO_OLD
    bench.waiting((94, "a", 0))
    assert bench.ask(DEMAND, 100).status is SignalStatus.STALE
    bench.work(95, "a", 0, 0)
    assert bench.ask(DEMAND, 100).value == 0.0
    bench.work(96, "a", 0, 1)
    assert bench.ask(DEMAND, 100).status is SignalStatus.STALE


def test_a_replica_that_does_not_say_its_work_is_not_idle(bench: Bench) -> None:
    bench.put(replicas=[(99, "a", {"kv_cache_usage": 0.9})])
    assert bench.ask(rule("ttft", "p95"), 100).why is Unhealthy.NO_SAMPLES


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


# --- lateness --------------------------------------------------------------------------------


def test_late_samples_are_counted_and_left_out(bench: Bench) -> None:
    bench.put(arrivals=[(100, 1)])
    bench.put(arrivals=[(70, 1), (69.9, 1)])
    assert bench.store.late == 1
    assert bench.ask(rule("arrivals", "count"), 100).value == 2.0


def test_a_long_batch_in_order_has_no_late_sample(bench: Bench) -> None:
    bench.put(arrivals=[(at, 1) for at in range(10, 101)], requests=[(20, 1.0)])
    assert bench.store.late == 0
    assert bench.ask(rule("arrivals", "count", 95.0), 100).value == 91.0


def test_lateness_does_not_depend_on_the_cut_into_batches(bench: Bench) -> None:
    times = [10, 50, 15, 25, 90, 65, 55]
    bench.put(arrivals=[(at, 1) for at in times])
    other = Bench()
    for at in times:
        other.put(arrivals=[(at, 1)])
    assert bench.store.late == other.store.late == 2
    count = rule("arrivals", "count", 100.0)
    assert bench.ask(count, 100).value == other.ask(count, 100).value == 5.0


def test_a_clock_ahead_makes_no_other_sample_late(bench: Bench) -> None:
    bench.put(arrivals=[(300, 1)], now=100)
    bench.put(arrivals=[(90, 1)], now=100)
    assert bench.store.late == 0
    count = rule("arrivals", "count", 10.5)
    assert bench.ask(count, 100).value == 1.0
    assert bench.ask(count, 305).value == 1.0


def test_replica_samples_out_of_order_across_batches(bench: Bench) -> None:
    bench.waiting((100, "a", 1))
    bench.waiting((80, "a", 9), (75, "a", 2))
    bench.waiting((101, "a", 5), (90, "a", 4))
    assert bench.ask(gauge("last"), 101).value == 5.0
    assert bench.ask(gauge("last"), 100).value == 1.0
    assert bench.ask(gauge("max", window_s=15.0), 101).value == 5.0


# --- eviction and checkpoint -----------------------------------------------------------------


def rules(*signals: SignalRule) -> RuleSet:
    return RuleSet("r", (ServiceRule("chat", Mode.ACT, (), (), signals, ()),))


def test_eviction_keeps_what_the_longest_window_needs(bench: Bench) -> None:
    bench.store.configure(rules(rule("arrivals", "count", 600.0)))
    for at in range(0, 2000, 10):
        bench.put(arrivals=[(at, 1)])
        bench.waiting((at, "a", 1))
    bench.store.advance(2000)
    assert bench.ask(rule("arrivals", "count", 600.0), 2000).value == 59.0
    before = len(bench.store.dump())
    bench.store.advance(1e6)
    assert len(bench.store.dump()) < before / 20
    assert bench.ask(rule("arrivals", "rate"), 1e6).why is Unhealthy.TOO_OLD


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


def test_dump_and_load(bench: Bench) -> None:
    bench.put(arrivals=[(90, 10), (95, NAN, "x")], requests=[(92, 1.5)])
    bench.waiting((95, "a", 4), (95, "b", 2), (95, "b", 3))
    bench.put(arrivals=[(10, 1)])
    other = Bench()
    other.names = bench.names
    other.store = WindowStore(bench.names)
    other.store.load(bench.store.dump())
    other.store.load(bench.store.dump())
    asked = [gauge(), rule("ttft", "avg"), rule("arrivals", "count"), DEMAND]
    for one in asked:
        assert other.ask(one, 100, 2) == bench.ask(one, 100, 2)
    assert other.ask(gauge(), 100, 2).value == 7.0
    assert (other.store.late, other.store.duplicates) == (1, 1)
    for store in (bench, other):
        store.put(arrivals=[(64, 1), (66, 1)])
    assert other.store.late == bench.store.late == 2
    assert other.store.dump() == bench.store.dump()


def test_another_format_is_refused(bench: Bench) -> None:
    saved = msgspec.msgpack.decode(bench.store.dump())
    saved["format"] = FORMAT + 1
    with pytest.raises(msgspec.ValidationError, match="format"):
        bench.store.load(msgspec.msgpack.encode(saved))


def test_columns_give_their_memory_back() -> None:
    columns = Columns(2)
    columns.append(np.column_stack((np.arange(10_000.0), np.zeros(10_000))))
    assert columns.evict(9_989.0)
    assert len(columns) == 10
    assert columns._rows.shape[0] <= SMALLEST
    assert not columns.evict(10_000.0)

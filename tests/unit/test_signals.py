"""Requests, arrivals and demand by event time; lateness; what is kept; checkpoints."""

import msgspec
import pytest
from tests.unit.signals_bench import DEMAND, NAN, Bench, gauge, rule, rules

from poolwright.model.signal import SignalStatus, Unhealthy
from poolwright.signals.store import FORMAT, WindowStore


@pytest.fixture
def bench() -> Bench:
    return Bench()


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


# --- lateness ---


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

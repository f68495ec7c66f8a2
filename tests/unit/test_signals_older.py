"""Windows that the version before saved (a file that it wrote) mean what they meant."""

import gzip
from pathlib import Path

import pytest
from tests.unit.signals_bench import DEMAND, Bench, gauge, rule, rules

from poolwright.model.names import NameTable
from poolwright.signals.store import WindowStore

SAVED = Path(__file__).parents[1] / "golden" / "windows" / "format-3.msgpack.gz"
NAMES = ("chat", "x", "y", "gpu", "r", "other", "", "a")
STATS = ("count", "sum", "avg", "min", "max", "last", "slope", "p50", "p95")


@pytest.fixture
def loaded() -> Bench:
    bench = Bench()
    bench.names = NameTable(NAMES)
    bench.store = WindowStore(bench.names)
    bench.store.load(gzip.decompress(SAVED.read_bytes()))
    return bench


def told(bench: Bench) -> None:
    """What the file's writer was told."""
    bench.put(arrivals=[(60.0 + i / 4, 100 + i * 7 % 50, "xy"[i % 2]) for i in range(160)])
    requests = [(61.0 + i / 4, 0.2 + (i * 37 % 101) / 50, "xy"[i % 2]) for i in range(160)]
    bench.put(requests=requests)
    bench.put(requests=[(61.0 + i, 5.0) for i in range(40)], service="other")
    bench.waiting(*[(60.0 + 5 * i, "a", i % 7) for i in range(9)])


def test_each_signal_has_the_value_that_it_had(loaded: Bench) -> None:
    fresh = Bench()
    told(fresh)
    asked = [DEMAND, gauge(), rule("rate", "rate")]
    asked += [rule("ttft", stat, 30.0, request_class=c) for stat in STATS for c in (None, "x")]
    asked += [rule(metric, "sum") for metric in ("output_tokens", "itl", "arrival_tokens")]
    for bench in (loaded, fresh):
        bench.store.configure(rules(*asked))
    for one in asked:
        for at in (75.5, 100.0):
            assert loaded.ask(one, at) == fresh.ask(one, at)


def test_what_comes_after_is_added_to_it(loaded: Bench) -> None:
    median = rule("ttft", "p50", 60.0)
    before = loaded.ask(median, 100.0).samples
    loaded.put(requests=[(99.0 + i / 4, 9.0, "z") for i in range(4)] * 100)
    assert loaded.ask(median, 100.0).samples == before + 400
    assert loaded.ask(median, 100.0).value == pytest.approx(9.0, rel=0.0055)
    again = Bench()
    again.names = loaded.names
    again.store = WindowStore(loaded.names)
    again.store.load(loaded.store.dump())
    assert again.ask(median, 100.0) == loaded.ask(median, 100.0)


def test_what_nobody_told_is_left_out(loaded: Bench) -> None:
    # The file had room for itl and e2e, too.
    assert len(loaded.store.dump()) < len(gzip.decompress(SAVED.read_bytes()))

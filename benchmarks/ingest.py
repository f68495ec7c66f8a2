"""Prints samples a CPU-second for decoding and for the windows, and µs an evaluation.

`python benchmarks/ingest.py --seconds 3`: about so many CPU-seconds for each of the first two.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable

from poolwright.model.names import NameTable
from poolwright.model.rule import SignalRule
from poolwright.signals.store import WindowStore
from poolwright.telemetry.decoder import Decoder

BATCH = 2000
PER_SECOND = 1000
"""Events of one event-time second: the windows of a minute hold 60 times as many."""


def messages(first: int) -> list[bytes]:
    """A batch: of ten events four arrivals, four requests, two samples of 50 replicas."""
    found = []
    for i in range(first, first + BATCH):
        event: dict[str, object] = {"at": 1e6 + i / PER_SECOND, "service": "chat"}
        if i % 10 < 4:
            event |= {"type": "arrival", "class": "interactive", "input_tokens": i % 4000}
        elif i % 10 < 8:
            event |= {"type": "request", "pool": "gpu", "replica": f"r{i % 50}"}
            event |= {"class": "interactive", "output_tokens": 1 + i * 7919 % 800}
            # From a fifth of a second over two octaves, as latencies spread.
            slowness = 4.0 ** (i * 7919 % 1000 / 1000)
            event |= {"ttft_s": 0.2 * slowness, "itl_s": 0.02 * slowness, "e2e_s": 4 * slowness}
        else:
            event |= {"type": "replica", "pool": "gpu", "replica": f"r{i // 10 % 50}"}
            event |= {"running": 20, "waiting": i % 5, "kv_cache_usage": 0.5}
        found.append(json.dumps(event).encode())
    return found


def rate(work: Callable[[], int], seconds: float) -> float:
    """Samples a CPU-second."""
    done, start = 0, time.process_time()
    while (spent := time.process_time() - start) < seconds:
        done += work()
    return done / spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    seconds = parser.parse_args().seconds
    names = NameTable()
    decoder, store = Decoder(names, None), WindowStore(names)

    values = messages(0)

    def decode() -> int:
        return len(decoder.decode(values, now=None, places=None)[0])

    print(f"decode    {rate(decode, seconds):12,.0f} samples per CPU-second")

    # Event time goes on, as in life; making the batches is not part of the measurement.
    numbers = itertools.count()
    done, spent, at = 0, 0.0, 0.0
    while spent < seconds or done < 200 * PER_SECOND:
        batch, _ = decoder.decode(messages(next(numbers) * BATCH), now=None, places=None)
        at = batch.newest_at or at
        start = time.process_time()
        store.ingest(batch, at=at)
        store.advance(at)
        spent += time.process_time() - start
        done += len(batch)
    print(f"ingest    {done / spent:12,.0f} samples per CPU-second")

    for rule in (
        SignalRule("requests_waiting last/sum", "requests_waiting", "last", 30.0, "sum"),
        SignalRule("requests_waiting p90/max", "requests_waiting", "p90", 60.0, "max"),
        SignalRule("ttft p95", "ttft", "p95", 60.0),
        SignalRule("ttft p95 of 10 s", "ttft", "p95", 10.0),
        SignalRule("arrivals rate", "arrivals", "rate", 60.0),
        SignalRule("demand", "demand", "last", 60.0, builtin=True),
    ):
        count, samples, start = 0, 0, time.process_time()
        while (spent := time.process_time() - start) < 0.2:
            signal = store.evaluate(rule, service="chat", pool="gpu", at=at, expected_replicas=50)
            count, samples = count + 1, signal.samples
        print(f"evaluate  {spent / count * 1e6:12,.0f} µs {rule.name} ({samples} samples)")


if __name__ == "__main__":
    main()

"""What one `decide` costs per service that learns, how that grows with time, and what it remembers.

So many services of rules/coding-assistant.yaml (without its accelerator, and with it) get arrivals,
requests and gauges, and the controller is asked every second; every tenth call plans. Prints CPU
per service and call: the mean, the 99th percentile and the worst call; bytes of state per service;
and for one service, from nothing, the last ten minutes of an hour beside the first.

Many services do not begin from nothing: each is given what the one learned in its hour, so that a
minute of a thousand services costs what their sixtieth does.
"""

import argparse
import gc
import json
import math
import statistics
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from ruamel.yaml import YAML

from poolwright.controller import Controller

RULES = Path(__file__).parents[1] / "rules" / "coding-assistant.yaml"
START = 1_700_000_000.0
REPLICAS = 4
RATE_PER_S = 2
"""Arrivals of a service; as many requests end."""
SERVICES = (1, 10, 100, 1000)
HOUR_S = 3600
COMPARED_S = 600
AIM_MS = 1.0
AIM_BYTES = 150_000


def sources(services: int, pools: int) -> dict[str, str]:
    """The example's rules, so many times, with one pool or two; JSON is YAML, too.

    All names are equally long, so that one service's state can be made another's.
    """
    rules = YAML(typ="safe").load(RULES.read_text(encoding="utf-8"))
    rules["pools"] = rules["pools"][:pools]
    text = json.dumps(rules)
    for name in ("coding-assistant", "code-h100", "code-wse"):
        text = text.replace(name, name + "-#")
    return {f"{i}.yaml": text.replace("#", f"{i:04}") for i in range(services)}


def telemetry(services: int, second: int, random: np.random.Generator) -> Iterator[dict]:
    """What every service sends in one second, as JSON objects."""
    offsets = np.sort(random.random(RATE_PER_S)).tolist()
    prompts = random.integers(200, 4000, RATE_PER_S).tolist()
    answers = random.integers(10, 300, RATE_PER_S).tolist()
    at = START + second
    for i in range(services):
        service = {"service": f"coding-assistant-{i:04}"}
        ours = service | {"pool": f"code-h100-{i:04}"}
        for number, (offset, prompt, answer) in enumerate(
            zip(offsets, prompts, answers, strict=True)
        ):
            one = {"at": at + offset, "class": "completion", "input_tokens": prompt}
            yield {"type": "arrival"} | service | one
            ttft, itl = 0.01 + 0.00008 * prompt, 0.012 + 0.0004 * (answer % 20)
            yield {
                "type": "request", **ours, **one, "output_tokens": answer, "ttft_s": ttft,
                "replica": f"r{(second + number) % REPLICAS}", "itl_s": itl,
                "e2e_s": ttft + itl * (answer - 1), "status": "ok",
            }  # fmt: skip
        if second % 5 == 0:
            for r in range(REPLICAS):
                yield {
                    "type": "replica", "at": at, **ours, "replica": f"r{r}",
                    "running": 10 + second % 7, "waiting": 0, "kv_cache_usage": 0.2,
                }  # fmt: skip


def multiplied(dump: bytes, services: int) -> bytes:
    """A dump of the first service alone, in which so many have learned what it has."""
    saved = msgspec.msgpack.decode(dump)
    ((name, learned),) = saved["learned"].items()
    saved["learned"] = {
        name.replace("0000", f"{i:04}"): learned.replace(b"-0000", b"-%04d" % i)
        for i in range(services)
    }
    return msgspec.msgpack.encode(saved)


@dataclass(frozen=True, slots=True)
class Measured:
    calls_ms: list[float]
    """CPU of each `decide`, per service."""
    ingest_ms: float
    """CPU of one second's `ingest`, per service."""
    dump: bytes
    grown_bytes: int | None
    """By tracemalloc, per service, from the rules read to the end; None where not asked for."""


def run(
    services: int, pools: int, seconds: range, *, dump: bytes | None = None, trace: bool = False
) -> Measured:
    """Plays these seconds after START, from a dump or from nothing."""
    controller = Controller.from_sources(sources(services, pools))
    if dump is not None:
        controller.restore(dump)
    random = np.random.default_rng(1)
    calls, ingest_s = [], 0.0
    gc.collect()
    if trace:
        tracemalloc.start()
    for second in seconds:
        at = START + second
        for i in range(services if second % 5 == 0 else 0):
            controller.report(f"code-h100-{i:04}", at=at, ready=REPLICAS)
            if pools > 1:
                controller.report(f"code-wse-{i:04}", at=at, ready=0)
        message = msgspec.json.encode(list(telemetry(services, second, random)))
        started = time.process_time()
        controller.ingest([message])
        taken = time.process_time()
        controller.decide(at + 1.0)
        ended = time.process_time()
        ingest_s += taken - started
        calls.append((ended - taken) / services * 1e3)
    grown = None
    if trace:
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] // services
        tracemalloc.stop()
    assert not controller.rejected, controller.rejected[0]
    return Measured(calls, ingest_s / len(seconds) / services * 1e3, controller.dump(), grown)


def tell(services: int, pools: int, found: Measured) -> None:
    calls = found.calls_ms
    mean, worst = statistics.fmean(calls), max(calls)
    # A service's windows are full after ten minutes; before that its state says little.
    state = len(found.dump) / services if len(calls) >= COMPARED_S else math.nan
    print(
        f"{services:5} × {pools} pool{'s' if pools > 1 else ' '}: mean {mean:6.3f} ms"
        f" ({mean / AIM_MS:4.0%} of the aim), p99 {np.percentile(calls, 99):6.3f},"
        f" worst {worst:6.3f}, so {worst * services / 1e3:6.3f} s of one call;"
        f" ingest {found.ingest_ms:.3f} ms"
        + ("" if math.isnan(state) else f"; state {state / 1e3:.0f} kB ({state / AIM_BYTES:.0%})"),
        flush=True,
    )


def tell_growth(pools: int, found: Measured) -> None:
    calls = found.calls_ms
    for name, figure in (("mean", np.mean), ("p99", lambda some: np.percentile(some, 99))):
        first, last = (float(figure(some)) for some in (calls[:COMPARED_S], calls[-COMPARED_S:]))
        print(
            f"        {pools} pool{'s' if pools > 1 else ' '}, {name}: first ten minutes"
            f" {first:.3f} ms, last {last:.3f} of an hour, ratio {last / first:.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--services", type=int, nargs="+", default=SERVICES)
    parser.add_argument(
        "--service-minutes", type=int, default=200,
        help="minutes times services that are played; 60000 is an hour of a thousand",
    )  # fmt: skip
    asked = parser.parse_args()
    for pools in (1, 2):
        one = run(1, pools, range(HOUR_S))
        tell(1, pools, one)
        tell_growth(pools, one)
        for services in sorted(set(asked.services) - {1}):
            seconds = min(HOUR_S, max(30, 60 * asked.service_minutes // services))
            dump = multiplied(one.dump, services)
            tell(services, pools, run(services, pools, range(HOUR_S, HOUR_S + seconds), dump=dump))
        grown = run(1, pools, range(HOUR_S // 2), trace=True).grown_bytes
        assert grown is not None
        print(f"        {grown / 1e3:.0f} kB of objects after half an hour, by tracemalloc")


if __name__ == "__main__":
    main()

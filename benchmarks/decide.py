"""What one `decide` costs per service that learns, how that grows with time, and what it remembers.

So many services of rules/coding-assistant.yaml (without its accelerator, and with it) get arrivals,
requests and gauges for a simulated hour, and the controller is asked every second. Every tenth call
plans. Prints CPU per service and call: the mean, the 99th percentile, the worst call, and the mean
of the last ten minutes beside that of the first; then bytes of state per service.

`--minutes` shortens the hour; a thousand services get `--minutes-of-many` of it, since their whole
hour takes half an hour of CPU.
"""

import argparse
import gc
import json
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
MANY = 1000
COMPARED_S = 600
AIM_MS = 1.0
AIM_BYTES = 150_000


def sources(services: int, pools: int) -> dict[str, str]:
    """The example's rules, so many times, with one pool or two; JSON is YAML, too."""
    rules = YAML(typ="safe").load(RULES.read_text(encoding="utf-8"))
    rules["pools"] = rules["pools"][:pools]
    text = json.dumps(rules)
    for name in ("coding-assistant", "code-h100", "code-wse"):
        text = text.replace(name, name + "-#")
    return {f"{i}.yaml": text.replace("#", str(i)) for i in range(services)}


def telemetry(services: int, second: int, random: np.random.Generator) -> Iterator[dict]:
    """What every service sends in one second, as JSON objects."""
    offsets = np.sort(random.random(RATE_PER_S)).tolist()
    prompts = random.integers(200, 4000, RATE_PER_S).tolist()
    answers = random.integers(10, 300, RATE_PER_S).tolist()
    at = START + second
    for i in range(services):
        service = {"service": f"coding-assistant-{i}"}
        ours = service | {"pool": f"code-h100-{i}"}
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


@dataclass(frozen=True, slots=True)
class Measured:
    calls_ms: list[float]
    """CPU of each `decide`, per service."""
    ingest_ms: float
    """CPU of one second's `ingest`, per service."""
    state_bytes: int
    """Per service."""
    grown_bytes: int | None
    """By tracemalloc, per service, from the rules read to the end; None where not asked for."""


def run(services: int, pools: int, seconds: int, *, trace: bool = False) -> Measured:
    controller = Controller.from_sources(sources(services, pools))
    random = np.random.default_rng(1)
    calls, ingest_s = [], 0.0
    gc.collect()
    if trace:
        tracemalloc.start()
    for second in range(seconds):
        at = START + second
        for i in range(services if second % 5 == 0 else 0):
            controller.report(f"code-h100-{i}", at=at, ready=REPLICAS)
            if pools > 1:
                controller.report(f"code-wse-{i}", at=at, ready=0)
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
        del message
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] // services
        tracemalloc.stop()
    assert not controller.rejected, controller.rejected[0]
    state = len(controller.dump()) // services
    return Measured(calls, ingest_s / seconds / services * 1e3, state, grown)


def tell(services: int, pools: int, found: Measured) -> None:
    calls = found.calls_ms
    compared = min(COMPARED_S, len(calls) // 3)
    first, last = statistics.fmean(calls[:compared]), statistics.fmean(calls[-compared:])
    mean = statistics.fmean(calls)
    print(
        f"{services:5} × {pools} pool{'s' if pools > 1 else ' '}, {len(calls) // 60:2} min:"
        f" mean {mean:6.3f} ms ({mean / AIM_MS:.0%} of the aim), p99"
        f" {np.percentile(calls, 99):6.3f}, worst {max(calls):6.3f}"
        f" = {max(calls) * services / 1e3:6.3f} s of one call;"
        f" first {compared / 60:.0f} min {first:.3f}, last {last:.3f}, ratio {last / first:.2f};"
        f" ingest {found.ingest_ms:.3f} ms; state {found.state_bytes / 1e3:,.0f} kB"
        f" ({found.state_bytes / AIM_BYTES:.0%} of the aim)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--services", type=int, nargs="+", default=[1, 10, 100, MANY])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--minutes-of-many", type=int, default=2)
    asked = parser.parse_args()
    for pools in (1, 2):
        for services in asked.services:
            minutes = asked.minutes_of_many if services >= MANY else asked.minutes
            tell(services, pools, run(services, pools, 60 * minutes))
    for pools in (1, 2):
        grown = run(2, pools, 60 * asked.minutes, trace=True).grown_bytes
        assert grown is not None
        print(
            f"{pools} pool{'s' if pools > 1 else ' '}: {grown / 1e3:,.0f} kB of objects a service"
        )


if __name__ == "__main__":
    main()

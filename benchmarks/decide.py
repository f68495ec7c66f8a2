"""What one `decide` costs per service that learns, how that grows with time, and what it remembers.

So many services of rules/coding-assistant.yaml (without its accelerator, and with it) get arrivals,
requests and gauges, and the controller is asked every second; every tenth call plans. Prints CPU
per service and call: the mean, the 99th percentile and the worst call; what the state holds in
memory at the end, per service; and for one service, from nothing, the last ten minutes of an hour
beside the first.

Many services do not begin from nothing: each is given what the one learned in its hour, and its
windows are filled before it is measured, so that a minute of a thousand services costs and holds
what their sixtieth does.

With `--full` the services are as rich as they come: a second class, requests of both in both pools,
and a signal for each metric that there is, of which every replica tells all.
"""

import argparse
import enum
import gc
import json
import statistics
import sys
import time
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from ruamel.yaml import YAML

from poolwright.controller import Controller
from poolwright.model.sample import ARRIVAL_METRICS, REPLICA_METRICS, REQUEST_METRICS

RULES = Path(__file__).parents[1] / "rules" / "coding-assistant.yaml"
START = 1_700_000_000.0
REPLICAS = 4
RATE_PER_S = 2
"""Arrivals of a service, unless told otherwise; as many requests end."""
SERVICES = (1, 10, 100, 1000)
HOUR_S = 3600
COMPARED_S = 600
FILL_S = 160
"""After which a window holds as much as it ever does."""
AIM_MS = 1.0
AIM_BYTES = 150_000

EVERY_METRIC = {
    **{metric: {"stat": "avg", "across": "sum"} for metric in REPLICA_METRICS},
    **{metric: {"stat": "p95"} for metric in REQUEST_METRICS},
    **{metric: {"stat": "rate"} for metric in ("rate", *ARRIVAL_METRICS)},
}
"""With a statistic that suits it."""

SHARED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, enum.Enum)
"""Kinds of objects that are the program's own."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What the services are like."""

    pools: int
    full: bool = False
    rate_per_s: int = RATE_PER_S

    def __str__(self) -> str:
        if self.full:
            return f"{self.pools} busy pools, 2 classes, all metrics, {self.rate_per_s}/s"
        return f"{self.pools} pool{'s' if self.pools > 1 else ' '}"


def sources(services: int, kind: Kind) -> dict[str, str]:
    """The example's rules, so many times; JSON is YAML, too.

    All names are equally long, so that one service's state can be made another's.
    """
    rules = YAML(typ="safe").load(RULES.read_text(encoding="utf-8"))
    rules["pools"] = rules["pools"][: kind.pools]
    if kind.full:
        rules["classes"]["batch"] = {"e2e": "10m", "attainment": "95%"}
        rules["pools"][1]["serves"] = ["completion", "batch"]
        rules["signals"] |= {
            f"all_{metric}": {"metric": metric, "window": "1m", **stat}
            for metric, stat in EVERY_METRIC.items()
        }
        rules["triggers"].append({"name": "meet-batch", "slo": "batch"})
    text = json.dumps(rules)
    for name in ("coding-assistant", "code-h100", "code-wse"):
        text = text.replace(name, name + "-#")
    return {f"{i}.yaml": text.replace("#", f"{i:04}") for i in range(services)}


def telemetry(
    services: int, kind: Kind, second: int, random: np.random.Generator
) -> Iterator[dict]:
    """What every service sends in one second, as JSON objects."""
    rate = kind.rate_per_s
    offsets = np.sort(random.random(rate)).tolist()
    prompts = random.integers(200, 4000, rate).tolist()
    answers = random.integers(10, 300, rate).tolist()
    classes = random.integers(0, 2, rate).tolist() if kind.full else [0] * rate
    busy = random.integers(0, 2, rate).tolist() if kind.full else [0] * rate
    told = {"running": 10 + second % 7, "waiting": 0, "kv_cache_usage": 0.2}
    if kind.full:
        told |= dict.fromkeys(("cache_hit", "gpu_utilisation"), 0.5)
        told |= {f"{what}_total": second * 7 for what in
                 ("prompt_tokens", "generation_tokens", "preemptions")}  # fmt: skip
    at = START + second
    for i in range(services):
        service = {"service": f"coding-assistant-{i:04}"}
        pools = [f"code-h100-{i:04}", f"code-wse-{i:04}"]
        for number, (offset, prompt, answer) in enumerate(
            zip(offsets, prompts, answers, strict=True)
        ):
            one = {"at": at + offset, "class": ("completion", "batch")[classes[number]],
                   "input_tokens": prompt}  # fmt: skip
            yield {"type": "arrival"} | service | one
            ttft, itl = 0.01 + 0.00008 * prompt, 0.012 + 0.0004 * (answer % 20)
            yield {
                "type": "request", **service, **one, "output_tokens": answer, "ttft_s": ttft,
                "pool": pools[busy[number]], "replica": f"r{(second + number) % REPLICAS}",
                "itl_s": itl, "e2e_s": ttft + itl * (answer - 1), "status": "ok",
            }  # fmt: skip
        if second % 5 == 0:
            for pool in pools if kind.full else pools[:1]:
                for r in range(REPLICAS):
                    yield {"type": "replica", "at": at, **service, "pool": pool,
                           "replica": f"r{r}", **told}  # fmt: skip


def multiplied(dump: bytes, services: int) -> bytes:
    """A dump of the first service alone, in which so many have learned what it has."""
    saved = msgspec.msgpack.decode(dump)
    ((name, learned),) = saved["learned"].items()
    saved["learned"] = {
        name.replace("0000", f"{i:04}"): learned.replace(b"-0000", b"-%04d" % i)
        for i in range(services)
    }
    return msgspec.msgpack.encode(saved)


class Scales:
    """What things hold in memory, one after the other; what two share counts for the first.

    By `sys.getsizeof`, which counts a numpy array's own data; what the allocator rounds up is not
    counted. tracemalloc sees the same freed with a state, but for a thousandth.
    """

    def __init__(self, without: Iterable[object]) -> None:
        self._seen: dict[int, object] = {}
        self.weigh(without)

    def weigh(self, things: Iterable[object]) -> int:
        """Bytes of all that they reach and nothing before has reached."""
        total, waiting = 0, list(things)
        while waiting:
            one = waiting.pop()
            if id(one) in self._seen or isinstance(one, SHARED):
                continue
            self._seen[id(one)] = one  # kept, so that its id stays its own
            total += sys.getsizeof(one)
            # The collector does not know that a view holds another array.
            waiting += [one.base] if isinstance(one, np.ndarray) else gc.get_referents(one)
        return total


@dataclass(frozen=True, slots=True)
class State:
    """What a service's state holds at the end, in bytes."""

    windows: int
    learned: int
    other: int
    """Names, memories of pools, reports, contexts."""
    dump: int
    """In a checkpoint."""

    @property
    def total(self) -> int:
        return self.windows + self.learned + self.other


@dataclass(frozen=True, slots=True)
class Measured:
    calls_ms: list[float]
    """CPU of each `decide`, per service."""
    ingest_ms: float
    """CPU of one second's `ingest`, per service."""
    dump: bytes
    state: State


def weighed(controller: Controller, services: int, dump: bytes) -> State:
    state = controller._state  # noqa: SLF001  what is measured
    scales = Scales(without=[controller.rules])
    windows = scales.weigh([state.store])
    learned = scales.weigh([state.learners])
    other = scales.weigh([state])
    return State(*(size // services for size in (windows, learned, other, len(dump))))


def run(services: int, kind: Kind, seconds: range, *, dump: bytes | None = None) -> Measured:
    """Plays these seconds after START, from nothing, or from a dump with windows to be filled."""
    controller = Controller.from_sources(sources(services, kind))
    random = np.random.default_rng(1)

    def message(second: int) -> bytes:
        at = START + second
        for i in range(services if second % 5 == 0 else 0):
            controller.report(f"code-h100-{i:04}", at=at, ready=REPLICAS)
            if kind.pools > 1:
                controller.report(f"code-wse-{i:04}", at=at, ready=2 if kind.full else 0)
        return msgspec.json.encode(list(telemetry(services, kind, second, random)))

    if dump is not None:
        controller.restore(dump)
        for second in range(seconds.start - FILL_S, seconds.start):
            controller.ingest([message(second)])
            # Every second at last, so that services plan at seconds of their own again.
            if second % 10 == 0 or second >= seconds.start - 10:
                controller.decide(START + second + 1.0)
    calls, ingest_s = [], 0.0
    gc.collect()
    for second in seconds:
        text = message(second)
        started = time.process_time()
        controller.ingest([text])
        taken = time.process_time()
        controller.decide(START + second + 1.0)
        done = time.process_time()
        ingest_s += taken - started
        calls.append((done - taken) / services * 1e3)
    assert not controller.rejected, controller.rejected[0]
    saved = controller.dump()
    return Measured(
        calls, ingest_s / len(seconds) / services * 1e3, saved, weighed(controller, services, saved)
    )


def tell(services: int, kind: Kind, found: Measured) -> None:
    calls, state = found.calls_ms, found.state
    mean, worst = statistics.fmean(calls), max(calls)
    print(
        f"{services:5} × {kind}: mean {mean:6.3f} ms"
        f" ({mean / AIM_MS:4.0%} of the aim), p99 {np.percentile(calls, 99):6.3f},"
        f" worst {worst:6.3f}, so {worst * services / 1e3:6.3f} s of one call;"
        f" ingest {found.ingest_ms:.3f} ms; state {state.total / 1e3:.0f} kB"
        f" ({state.total / AIM_BYTES:.0%} of the aim: windows {state.windows / 1e3:.0f}, learned"
        f" {state.learned / 1e3:.0f}, other {state.other / 1e3:.0f}), {state.dump / 1e3:.0f} kB"
        " in a checkpoint",
        flush=True,
    )


def tell_growth(kind: Kind, found: Measured) -> None:
    calls = found.calls_ms
    for name, figure in (("mean", np.mean), ("p99", lambda some: np.percentile(some, 99))):
        first, last = (float(figure(some)) for some in (calls[:COMPARED_S], calls[-COMPARED_S:]))
        print(
            f"        {kind}, {name}: first ten minutes"
            f" {first:.3f} ms, last {last:.3f} of an hour, ratio {last / first:.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--services", type=int, nargs="+", default=SERVICES)
    parser.add_argument(
        "--service-minutes", type=int, default=200,
        help="minutes times services that are played; 60000 is an hour of a thousand",
    )  # fmt: skip
    parser.add_argument(
        "--full", action="store_true",
        help="two classes, two busy pools and all metrics, instead of the example's rules",
    )  # fmt: skip
    parser.add_argument(
        "--rate", type=int, default=RATE_PER_S, help="arrivals of a service, a second"
    )
    asked = parser.parse_args()
    for pools in (2,) if asked.full else (1, 2):
        kind = Kind(pools, asked.full, asked.rate)
        one = run(1, kind, range(HOUR_S))
        tell(1, kind, one)
        tell_growth(kind, one)
        for services in sorted(set(asked.services) - {1}):
            seconds = min(HOUR_S, max(30, 60 * asked.service_minutes // services))
            start, dump = HOUR_S + FILL_S, multiplied(one.dump, services)
            tell(services, kind, run(services, kind, range(start, start + seconds), dump=dump))


if __name__ == "__main__":
    main()

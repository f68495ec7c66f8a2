"""What a day of 1.4 million requests costs the controller: CPU minutes and memory.

One service of rules/coding-assistant.yaml with ten replicas, which it may not change: every arrival
and every ended request is a message of its own, every replica sends a gauge every 5 s, and the
controller is asked every second. Demand swings by half within each hour, so that a shorter run is
like a day. A run of `--hours` below 24 is extrapolated: its first hour counts once, in which
histories fill, and what comes after it counts for the rest.
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from ruamel.yaml import YAML

from poolwright.controller import Controller

RULES = Path(__file__).parents[1] / "rules" / "coding-assistant.yaml"
START = 1_700_000_000.0
REPLICAS = 10
REQUESTS_A_DAY = 1_400_000
DAY_H = 24
HOUR_S = 3600
AIM_MIN = 5.0


@dataclass(slots=True)
class Hour:
    """What an hour cost in CPU-seconds."""

    ingest_s: float = 0.0
    decide_s: float = 0.0
    decisions: int = 0
    messages: int = 0

    @property
    def cpu_s(self) -> float:
        return self.ingest_s + self.decide_s


def rules() -> dict[str, str]:
    """The example with bounds that hold ten replicas; JSON is YAML, too."""
    document = YAML(typ="safe").load(RULES.read_text(encoding="utf-8"))
    document["pools"][0]["replicas"] = {"min": REPLICAS, "max": REPLICAS}
    return {"coding-assistant.yaml": json.dumps(document)}


def telemetry(hour: int, random: np.random.Generator) -> Iterator[list[bytes]]:
    """The messages of each second of an hour, ordered by time; what is late comes at its end."""
    mean = REQUESTS_A_DAY / DAY_H
    at = np.sort(random.random(random.poisson(1.5 * mean)) * HOUR_S)
    at = at[random.random(len(at)) * 1.5 < 1 + 0.5 * np.sin(2 * np.pi * at / HOUR_S)]
    prompts = np.clip(1500.0 * np.exp(0.6 * random.standard_normal(len(at))), 8, 16_000)
    answers = np.clip(30.0 * np.exp(0.8 * random.standard_normal(len(at))), 4, 800)
    batch = 1.0 + 2.0 * random.random(len(at))
    ttft = 0.01 + 0.00008 * prompts + 0.1 * random.random(len(at))
    itl = 0.012 + 0.0004 * batch
    e2e = ttft + itl * (answers - 1)
    ends = np.minimum(at + e2e, HOUR_S - 1e-3)
    arrived = np.searchsorted(at, np.arange(HOUR_S + 1))
    order = np.argsort(ends)
    ended = np.searchsorted(ends[order], np.arange(HOUR_S + 1))
    origin, encode = START + hour * HOUR_S, msgspec.json.encode
    columns = (at, ends, prompts, answers, ttft, itl, e2e)
    at, ends, prompts, answers, ttft, itl, e2e = (column.tolist() for column in columns)
    service = {"service": "coding-assistant", "class": "completion"}
    for second in range(HOUR_S):
        found = [
            encode(
                {"type": "arrival", "at": origin + at[i], "input_tokens": int(prompts[i])} | service
            )
            for i in range(*arrived[second : second + 2].tolist())
        ]
        found += [
            encode(
                {
                    "type": "request", "at": origin + ends[i], "pool": "code-h100",
                    "replica": f"code-h100-{i % REPLICAS}", "input_tokens": int(prompts[i]),
                    "output_tokens": int(answers[i]), "ttft_s": ttft[i], "itl_s": itl[i],
                    "e2e_s": e2e[i], "status": "ok",
                }
                | service
            )
            for i in order[ended[second] : ended[second + 1]].tolist()
        ]  # fmt: skip
        if second % 5 == 0:
            found += [
                encode(
                    {
                        "type": "replica", "at": origin + second, "service": "coding-assistant",
                        "pool": "code-h100", "replica": f"code-h100-{r}", "running": 2,
                        "waiting": 0, "kv_cache_usage": 0.1,
                    }
                )
                for r in range(REPLICAS)
            ]  # fmt: skip
        yield found


def play(controller: Controller, hour: int, random: np.random.Generator) -> Hour:
    cost = Hour()
    for second, messages in enumerate(telemetry(hour, random)):
        at = START + hour * HOUR_S + second
        if second % 5 == 0:
            controller.report("code-h100", at=at, ready=REPLICAS)
            controller.report("code-wse", at=at, ready=0)
        began = time.process_time()
        controller.ingest(messages)
        taken = time.process_time()
        cost.decisions += len(controller.decide(at + 1.0))
        cost.decide_s += time.process_time() - taken
        cost.ingest_s += taken - began
        cost.messages += len(messages)
    return cost


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=int, default=2)
    hours = parser.parse_args().hours
    controller, random = Controller.from_sources(rules()), np.random.default_rng(1)
    before_mb = peak_mb()
    played = []
    for hour in range(hours):
        played.append(play(controller, hour, random))
        last = played[-1]
        print(
            f"hour {hour + 1:2}: ingest {last.ingest_s:5.1f} s, decide {last.decide_s:5.1f} s of"
            f" CPU, {last.messages:,} messages, {last.decisions} decisions,"
            f" peak RSS {peak_mb():.0f} MB",
            flush=True,
        )
    assert not controller.rejected, controller.rejected[0]
    later = played[1:] or played
    weight = (DAY_H - 1) / len(later)

    def day_min(figure: str) -> float:
        first = getattr(played[0], figure)
        return (first + weight * sum(getattr(hour, figure) for hour in later)) / 60.0

    ingest, decide = day_min("ingest_s"), day_min("decide_s")
    how = "measured" if hours >= DAY_H else f"extrapolated from {hours} h"
    print(
        f"a day, {how}: ingest {ingest:.1f} and decide {decide:.1f} CPU minutes, together"
        f" {(ingest + decide) / AIM_MIN:.0%} of the aim of {AIM_MIN:.0f};"
        f" peak RSS {peak_mb():.0f} MB, {before_mb:.0f} of it before the first message;"
        f" state {len(controller.dump()) / 1e3:,.0f} kB"
    )


if __name__ == "__main__":
    main()

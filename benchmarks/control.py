"""Prints how well the rules control four kinds of workload, beside other autoscalers.

bursts     the Azure code trace 2023 (POOLWRIGHT_TRACES or ../shared/data; else its generated hour)
chat       an hour of chat whose rate hardly swings
long       an hour of prompts of up to 85,000 tokens
reasoning  a day of long answers, with a daily swing of 5

Each has a plant of its own whose figures no rule file declares. An hour takes half a minute on two
processors, the day several. Usage:
python benchmarks/control.py [--only bursts,chat,long,reasoning] [--jobs N] [--pages FOLDER]
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from poolwright import rulefiles
from poolwright.backtest.contenders import AGAINST, BASELINE, CLAIRVOYANT, OURS
from poolwright.backtest.page.page import page
from poolwright.backtest.result import Backtest
from poolwright.backtest.sweeping import sweep_all
from poolwright.backtest.telling import tell
from poolwright.backtest.world import Plan, Trace
from poolwright.runtime.traces import open_trace
from poolwright.simulation.coding import coding_hour
from poolwright.simulation.spec import PlantSpec, PoolSpec
from poolwright.simulation.workloads import Workload

RULES = """
apiVersion: poolwright/v1
service: {name}
classes:
  {name}: {{{goal}}}
pools:
  - name: gpu
    role: default
    provider: {{simulated: {{pool: gpu}}}}
    replicas: {{min: {least}, max: {most}}}
    price: {price} USD/h
    startup: 150s
triggers:
  - {{name: meet-slo, slo: {name}}}
  - {{name: ahead, forecast: {{horizon: startup, quantile: 0.95}}}}
limits:
  up: {{step: "max(4, 100%)", per: 15s}}
  down: {{step: 1, per: 1m, stabilise: 5m}}
"""


@dataclass(frozen=True, slots=True)
class Case:
    goal: str
    replicas: tuple[int, int]
    pool: PoolSpec
    workload: Callable[[], Workload]


def poisson(
    rate_per_s: Callable[[np.ndarray], np.ndarray],
    peak_per_s: float,
    duration_s: float,
    prompt: tuple[float, float, int],
    answer: tuple[float, float, int],
    seed: int,
) -> Workload:
    """Arrivals thinned to `rate_per_s`; lengths log-normal as (median, sigma, most)."""
    random = np.random.default_rng(seed)
    count = random.poisson(peak_per_s * duration_s)
    at = np.sort(random.random(count) * duration_s)
    at = at[random.random(count) * peak_per_s < rate_per_s(at)]

    def lengths(median: float, sigma: float, most: int) -> np.ndarray:
        drawn = median * np.exp(sigma * random.standard_normal(len(at)))
        return np.clip(drawn.round(), 4, most).astype(np.int64)

    return Workload(at - at[0], lengths(*prompt), lengths(*answer))


def opening(at: np.ndarray) -> np.ndarray:
    """The share of the load that is there yet: a service does not begin at full load."""
    return np.clip(at / 900.0, 0.02, 1.0)


def bursts() -> Workload:
    folder = Path(os.environ.get("POOLWRIGHT_TRACES", "../shared/data"))
    path = folder / "azure2023_code.csv.gz"
    return open_trace(path) if path.exists() else coding_hour(1)


def chat() -> Workload:
    def rate(at: np.ndarray) -> np.ndarray:
        return opening(at) * (6.0 + 0.6 * np.sin(2 * np.pi * at / 1500.0))

    return poisson(rate, 6.6, 3600.0, (700.0, 0.9, 8000), (220.0, 0.7, 1500), 11)


def long() -> Workload:
    def rate(at: np.ndarray) -> np.ndarray:
        return opening(at) * (0.45 + 0.15 * np.sin(2 * np.pi * at / 2400.0))

    return poisson(rate, 0.6, 3600.0, (14_000.0, 1.0, 85_000), (300.0, 0.8, 2000), 12)


def reasoning() -> Workload:
    def rate(at: np.ndarray) -> np.ndarray:
        # From 0.2 to 1.0 a second: lowest at four in the morning.
        return 0.6 - 0.4 * np.cos(2 * np.pi * (at / 86_400.0 - 1 / 6))

    return poisson(rate, 1.0, 86_400.0, (500.0, 1.0, 16_000), (2500.0, 0.8, 16_000), 13)


CASES = {
    "bursts": Case(
        "ttft: 2s, itl: 60ms, attainment: 99%",
        (2, 24),
        PoolSpec("gpu", 0.014, 0.0005, 0.012, 0.0001, max_batch=48, kv_tokens=350_000,
                 startup_s=110.0, price_usd_per_hour=4.5),
        bursts,
    ),
    "chat": Case(
        "ttft: 1s, itl: 40ms, attainment: 99%",
        (1, 24),
        PoolSpec("gpu", 0.010, 0.0007, 0.008, 0.00009, max_batch=64, kv_tokens=300_000,
                 startup_s=140.0, price_usd_per_hour=4.5),
        chat,
    ),
    "long": Case(
        "ttft: 15s, itl: 80ms, attainment: 98%",
        (1, 24),
        PoolSpec("gpu", 0.018, 0.0006, 0.02, 0.00006, max_batch=32, kv_tokens=600_000,
                 startup_s=170.0, price_usd_per_hour=9.8),
        long,
    ),
    "reasoning": Case(
        "ttft: 3s, itl: 35ms, attainment: 99%",
        (1, 24),
        PoolSpec("gpu", 0.009, 0.0015, 0.01, 0.00007, max_batch=96, kv_tokens=900_000,
                 startup_s=200.0, price_usd_per_hour=9.8),
        reasoning,
    ),
}  # fmt: skip


def plan_of(name: str) -> Plan:
    """The case's trace, plant and rules."""
    case = CASES[name]
    text = RULES.format(
        name=name,
        goal=case.goal,
        least=case.replicas[0],
        most=case.replicas[1],
        price=case.pool.price_usd_per_hour,
    )
    sources = {f"{name}.yaml": text}
    return Plan(
        sources, None, name, PlantSpec(name, (case.pool,)), (Trace(name, case.workload()),), 1
    )


def backtest(name: str, jobs: int) -> Backtest:
    plan = plan_of(name)
    rules = rulefiles.load_sources(plan.rules)
    contenders = (OURS, *AGAINST)
    sweeps = sweep_all(plan, contenders, jobs=jobs, progress=lambda _done, _total: None)
    return Backtest(plan, rules.revision, rules.services[0], contenders, sweeps)


def line(name: str, result: Backtest) -> str:
    ours = result.sweeps[0, OURS]
    relative = result.relative_cost(ours.best)
    others = [
        sweep
        for sweep in result.ranked(0)
        if sweep.keeps and sweep.best.contender not in (OURS, BASELINE, CLAIRVOYANT, "static")
    ]
    best = others[0].best if others else None
    against = (
        "no other autoscaler keeps the goal"
        if best is None
        else f"{ours.best.cost_usd / best.cost_usd:.2f} of the best other's ({best.contender})"
    )
    attained = min(ours.best.attainment.values())
    kept = "kept" if ours.keeps else "MISSED"
    times = "?" if relative is None else f"{relative:.2f}"
    return f"{name:10} {attained:.2%} {kept}, cost {times} of the clairvoyant's, {against}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--pages", type=Path)
    asked = parser.parse_args()
    out, lines = Console(), []
    for name in asked.only.split(","):
        begun = time.monotonic()
        result = backtest(name, asked.jobs)
        tell(result, out)
        sys.stdout.write(f"{name}: {time.monotonic() - begun:.0f} s\n\n")
        sys.stdout.flush()
        lines.append(line(name, result))
        if asked.pages is not None:
            (asked.pages / f"{name}.html").write_text(page(result), encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

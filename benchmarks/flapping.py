"""How often the `slo` trigger changes its mind under a load that is constant but noisy.

Poisson arrivals of three rates, two seeds each, through the controller on the simulated plant,
whose speed no rule declares: a warm-up of 20 minutes, in which the load comes up, then an hour is
counted. A direction change is a scale action that goes the other way than the one before it, be
that one of the warm-up. The aim is at most one an hour. `--cold` has the whole load there from the
first second.
"""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context

import numpy as np

from poolwright import rulefiles
from poolwright.runtime.replay import ORIGIN_S, replay
from poolwright.simulation.spec import PlantSpec, PoolSpec
from poolwright.simulation.workloads import Workload

AIM_PER_HOUR = 1.0
RATES_PER_S = (2.0, 6.0, 15.0)
WARM_UP_S = 1200.0
OPENING_S = 900.0
RULES = """
apiVersion: poolwright/v1
service: chat
classes: {chat: {ttft: 2s, itl: 50ms, attainment: 99%}}
pools:
  - name: gpu
    role: default
    provider: {simulated: {pool: gpu}}
    replicas: {min: 1, max: 32}
    price: 4.5 USD/h
    startup: 150s
triggers: [{name: meet-slo, slo: chat}]
limits:
  up: {step: "max(4, 100%)", per: 15s}
  down: {step: 1, per: 1m, stabilise: 5m}
"""
GPU = PoolSpec("gpu", 0.015, 0.0005, 0.01, 0.0001, startup_s=130.0, price_usd_per_hour=4.5)


@dataclass(frozen=True, slots=True)
class Act:
    """A scale action, at a minute since the trace's start."""

    minute: float
    before: int
    after: int

    @property
    def up(self) -> bool:
        return self.after > self.before


@dataclass(frozen=True, slots=True)
class Flapping:
    rate_per_s: float
    seed: int
    acts: tuple[Act, ...]
    """Those of the warm-up, too."""
    changes_per_hour: float
    """Of direction, after the warm-up."""
    attainment: float


def direction_changes(acts: Sequence[Act], since_minute: float) -> int:
    """Actions from `since_minute` on that go the other way than the one before them."""
    return sum(
        after.minute >= since_minute and before.up != after.up for before, after in pairwise(acts)
    )


def constant(rate_per_s: float, duration_s: float, seed: int, opening_s: float) -> Workload:
    """Poisson arrivals, rising for `opening_s`; lengths with means of about 1,500 and 300."""
    random = np.random.default_rng(seed)
    at = np.sort(random.random(random.poisson(rate_per_s * duration_s)) * duration_s)
    if opening_s:
        at = at[random.random(len(at)) < np.clip(at / opening_s, 0.02, 1.0)]
    prompts = 1250.0 * np.exp(0.6 * random.standard_normal(len(at)))
    answers = 250.0 * np.exp(0.6 * random.standard_normal(len(at)))
    return Workload(
        at - at[0],
        np.clip(prompts, 8, 16_000).astype(np.int64),
        np.clip(answers, 4, 2000).astype(np.int64),
    )


def run(rate_per_s: float, seed: int, hours: float = 1.0, opening_s: float = OPENING_S) -> Flapping:
    """Plays the warm-up and so many hours."""
    rules = rulefiles.load_sources({"chat.yaml": RULES})
    load = constant(rate_per_s, WARM_UP_S + hours * 3600.0, seed, opening_s)
    spec = PlantSpec("chat", (GPU,))
    result = replay(rules, rules.services[0], load, spec, seed=seed, drain_s=0.0)
    acts = tuple(
        Act((decision.at - ORIGIN_S) / 60.0, decision.current, decision.desired)
        for decision in result.decisions
        if decision.acts
    )
    changes = direction_changes(acts, WARM_UP_S / 60.0)
    return Flapping(rate_per_s, seed, acts, changes / hours, result.attainment["chat"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cold", action="store_true")
    asked = parser.parse_args()
    opening_s = 0.0 if asked.cold else OPENING_S
    with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as workers:
        waiting = [
            workers.submit(run, rate, seed, asked.hours, opening_s)
            for rate in RATES_PER_S
            for seed in range(1, asked.seeds + 1)
        ]
        found = [job.result() for job in waiting]
    for one in found:
        later = [
            f"{act.minute:.0f}: {act.before}→{act.after}"
            for act in one.acts
            if act.minute * 60.0 >= WARM_UP_S
        ]
        within = "within" if one.changes_per_hour <= AIM_PER_HOUR else "NOT within"
        print(
            f"{one.rate_per_s:4.0f} a second, seed {one.seed}: {one.changes_per_hour:.1f} changes"
            f" of direction an hour, {within} the aim; SLO kept {one.attainment:.2%};"
            f" actions by minute: {', '.join(later) or 'none'}"
        )
    worst = max(one.changes_per_hour for one in found)
    print(f"worst {worst:.1f}, mean {np.mean([one.changes_per_hour for one in found]):.2f} an hour")


if __name__ == "__main__":
    main()

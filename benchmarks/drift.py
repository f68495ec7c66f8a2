"""Whether what is said of drift is true, and whether true drift is said.

An hour of a pool that does not change, from 48 starts: four plants, short prompts and long ones,
three rates, the whole load there from the first second or coming up. Any word in it is false. Then
pools of which all replicas become slower or faster for five minutes, and pools of which one does
and stays so: it is counted in how many the right thing is said within ten minutes, and in how many
anything else. No rule declares a speed.
"""

import argparse
import os
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from statistics import median

import numpy as np
from benchmarks.flapping import GPU, OPENING_S, RULES, constant

from poolwright import rulefiles
from poolwright.runtime.replay import ORIGIN_S, replay
from poolwright.simulation.spec import Fault, FaultKind, PlantSpec, PoolSpec
from poolwright.simulation.workloads import Workload

HOUR_S = 3600.0
CHANGE_S = 1800.0
"""When something changes."""
LASTS_S = 300.0
WITHIN_S = 600.0
RATES_PER_S = (2.0, 6.0, 15.0)
PLANTS = {
    "GPU": GPU,
    "slow prefill": replace(GPU, prefill_base_s=0.02, prefill_per_token_s=0.0002),
    "quick, crowded": replace(
        GPU, itl_base_s=0.006, itl_per_request_s=0.0008, prefill_per_token_s=0.00004
    ),
    "slow in a batch": replace(
        GPU, itl_base_s=0.01, itl_per_request_s=0.001, prefill_per_token_s=0.00006
    ),
}
LONG_PROMPTS, LONG_ANSWERS = 5.0, 0.6
"""Times the lengths of the flapping benchmark: 7,500 and 180 tokens on average."""
FACTORS = (0.5, 0.7, 0.8, 1.25, 1.3, 1.4, 1.6, 2.0)
ONE_FACTORS = (1.5, 2.0)
ONE = 2
"""So many replicas are older than the one that becomes slow: the pool's speed is learned of two."""
THIRD = "gpu-3"
SIX = RULES.replace("min: 1, max: 32", "min: 6, max: 6")
"""So that it is known which is the third."""


@dataclass(frozen=True, slots=True)
class Run:
    plant: str
    rate_per_s: float
    seed: int
    long: bool = False
    cold: bool = False
    factor: float = 1.0
    alone: bool = False
    """Whether one replica alone changes."""

    @property
    def calm(self) -> bool:
        return self.factor == 1.0

    @property
    def seconds(self) -> float:
        return HOUR_S if self.calm else CHANGE_S + WITHIN_S + 60.0

    @property
    def faults(self) -> tuple[Fault, ...]:
        if self.calm:
            return ()
        if not self.alone:
            return (Fault(CHANGE_S, FaultKind.SLOW, LASTS_S, self.factor),)
        factors = (*(1.0,) * ONE, self.factor)
        return tuple(
            Fault(CHANGE_S + place, FaultKind.SLOW_REPLICA, HOUR_S, factor)
            for place, factor in enumerate(factors)
        )

    def __str__(self) -> str:
        what = "" if self.calm else f", {'one' if self.alone else 'all'} × {self.factor}"
        return (
            f"{self.plant}, {self.rate_per_s:.0f} a second of {'long' if self.long else 'short'}"
            f" prompts, {'cold' if self.cold else 'rising'}, seed {self.seed}{what}"
        )


@dataclass(frozen=True, slots=True)
class Said:
    run: Run
    words: tuple[tuple[float, str], ...]
    """What was said of drift and when it was news, in seconds since the trace's start."""

    @property
    def right_after_s(self) -> float | None:
        """How long after the change the right thing was said."""
        return next((at - CHANGE_S for at, words in self.words if self._right(at, words)), None)

    @property
    def wrong(self) -> tuple[tuple[float, str], ...]:
        """Anything else. What has just been over is no lie yet."""
        return tuple(
            (at, words) for at, words in self.words if words and not self._right(at, words)
        )

    def _right(self, at: float, words: str) -> bool:
        if self.run.calm or at < CHANGE_S or not words:
            return False
        if self.run.alone:
            return words.startswith(f"replica {THIRD} takes") and ";" not in words
        times = re.match(r"requests take ([\d.]+) times", words)
        return times is not None and (float(times[1]) > 1.0) == (self.run.factor > 1.0)


def calm(seeds: int = 1) -> list[Run]:
    """48 starts for each seed."""
    return [
        Run(plant, rate, seed, long, cold)
        for rate in reversed(RATES_PER_S)
        for plant in PLANTS
        for long in (False, True)
        for cold in (False, True)
        for seed in range(1, seeds + 1)
    ]


def changed(seeds: int = 1) -> list[Run]:
    """All replicas change: each factor on two plants; long prompts on one of them."""
    return [
        Run(plant, 6.0, seed, long=plant == "slow prefill", factor=factor)
        for factor in FACTORS
        for plant in ("slow prefill", "slow in a batch")
        for seed in range(1, seeds + 1)
    ]


def alone(seeds: int = 1) -> list[Run]:
    """One replica of six becomes slow."""
    return [
        Run(plant, 8.0, seed, factor=factor, alone=True)
        for factor in ONE_FACTORS
        for plant in PLANTS
        for seed in range(1, seeds + 1)
    ]


def load(run: Run) -> Workload:
    found = constant(run.rate_per_s, run.seconds, run.seed, 0.0 if run.cold else OPENING_S)
    if not run.long:
        return found
    return replace(
        found,
        input_tokens=(found.input_tokens * LONG_PROMPTS).astype(np.int64).clip(8, 16_000),
        output_tokens=(found.output_tokens * LONG_ANSWERS).astype(np.int64).clip(4, 2000),
    )


def play(run: Run) -> Said:
    rules = rulefiles.load_sources({"chat.yaml": SIX if run.alone else RULES})
    pool: PoolSpec = replace(PLANTS[run.plant], faults=run.faults)
    spec = PlantSpec("chat", (pool,))
    result = replay(rules, rules.services[0], load(run), spec, seed=run.seed, drain_s=0.0)
    words: list[tuple[float, str]] = []
    for decision in result.decisions:
        for found in decision.inputs.assessments[:1]:
            if not words or words[-1][1] != found.capacity.drift:
                words.append((decision.at - ORIGIN_S, found.capacity.drift))
    return Said(run, tuple(words))


def tell_wrong(found: Sequence[Said]) -> str:
    wrong = [said for said in found if said.wrong]
    for said in wrong:
        at, words = said.wrong[0]
        print(f"  {said.run}: after {at:.0f} s {len(said.wrong)} words, first: {words}")
    return f"{len(wrong)} of {len(found)}"


def tell_right(what: str, found: Sequence[Said]) -> None:
    after_s = [said.right_after_s for said in found]
    within = sorted(s for s in after_s if s is not None and s <= WITHIN_S)
    for said, seconds in zip(found, after_s, strict=True):
        if seconds is None or seconds > WITHIN_S:
            print(f"  {said.run}: not said")
    times = (
        f", {median(within) / 60:.1f} min later, {within[-1] / 60:.1f} at most" if within else ""
    )
    print(
        f"{what}: said in {len(within)} of {len(found)} within {WITHIN_S / 60:.0f} min{times};"
        f" anything else in {tell_wrong(found)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    kinds = [kind(asked.seeds) for kind in (calm, changed, alone)]
    with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as workers:
        waiting = [[workers.submit(play, run) for run in runs] for runs in kinds]
        still, all_changed, one_changed = ([job.result() for job in jobs] for jobs in waiting)
    print(f"nothing changes: false words in {tell_wrong(still)}")
    tell_right("all replicas change for five minutes", all_changed)
    tell_right("one replica becomes slow", one_changed)


if __name__ == "__main__":
    main()

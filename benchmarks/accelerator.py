"""Whether an accelerator is held exactly where it pays: three kinds of demand, and its loss.

little     five requests a second: too few to be worth an accelerator, which must never grow
much       twenty a second for hours: it must grow, and cost must fall against GPUs only
fast       a class whose time between tokens no GPU reaches: it must grow, for that class

Each on the simulated plant, whose figures the rules declare for the accelerator only, under the
rules, with GPUs only, with accelerators at will (the cheapest mix at once, no advantage asked for),
and with the accelerator held from the start, which knows beforehand what the others find out; all
also with the accelerator lost for good half-way. Attainment is of the whole run and of its last
three quarters, since an advantage must hold before anything is ordered. Of GPUs only and at will,
the cheaper one that keeps the SLOs of the last three quarters is the better, and where neither does
the one that attains more; the aim is to be within 5 % of its cost.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from poolwright.backtest.figures import Run
from poolwright.backtest.pilots import ControllerPilot
from poolwright.backtest.playing import play
from poolwright.backtest.world import Plan, Trace, World, world_of
from poolwright.model.decision import Decision
from poolwright.runtime.replay import ORIGIN_S
from poolwright.simulation.plant import Plant
from poolwright.simulation.spec import Fault, FaultKind, PlantSpec, PoolSpec
from poolwright.simulation.workloads import Workload

GPU_USD, ACCELERATOR_USD = 4.5, 24.0
AIM = 1.05
GOAL = 0.99
RULES = """
apiVersion: poolwright/v1
service: chat
classes: {{{classes}}}
pools:
  - name: gpu
    role: default
    provider: {{simulated: {{pool: gpu}}}}
    replicas: {{min: 1, max: 32}}
    price: {gpu} USD/h
    startup: 150s
{accelerator}
triggers: [{triggers}]
limits:
  up: {{step: "max(4, 100%)", per: 15s}}
  down: {{step: 1, per: 1m, stabilise: 5m}}
"""
ACCELERATOR = """
  - name: wse
    role: accelerator
    provider: {{simulated: {{pool: wse}}}}
    replicas: {{min: {least}, max: 2}}
    price: {price} USD/h
    startup: 300s
    lease: 1h
    serves: [{serves}]
    profile: {{itl_base: 2ms, itl_per_request: 0.03ms, prefill_base: 2ms, prefill_per_token: 0.015ms, max_batch: 128}}
    advantage: {advantage}
"""  # noqa: E501
GATE = "{{economic: 15%, performance: 30%, held_for: 5m, min_utilisation: {floor}}}"
NO_GATE = "{economic: 0%, performance: 0%, held_for: 0s, min_utilisation: 0%}"
CLASSES = {
    "chat": "{ttft: 2s, itl: 50ms, attainment: 99%}",
    "fast": "{ttft: 2s, itl: 8ms, attainment: 99%}",
}
LEAST = {"rules": 0, "at will": 0, "from the start": 1}
"""Accelerators that the contender has at least; the other one has no such pool."""
CONTENDERS = ("rules", "GPUs only", "at will", "from the start")
BESIDE = ("GPUs only", "at will")
"""The better one of these is what the rules' cost is compared with."""


@dataclass(frozen=True, slots=True)
class Scenario:
    rates_per_s: Mapping[str, float]
    """Mean arrivals of each class; they swing by a fifth in 40 minutes."""
    grows: bool
    lost: bool = False
    """The accelerator fails half-way and does not come back."""

    @property
    def served(self) -> tuple[str, ...]:
        """By the accelerator. Where a class needs it, no other: the plant's router knows no SLO."""
        return ("fast",) if "fast" in self.rates_per_s else tuple(self.rates_per_s)


SCENARIOS = {
    "little": Scenario({"chat": 5.0}, grows=False),
    "much": Scenario({"chat": 20.0}, grows=True),
    "much, lost": Scenario({"chat": 20.0}, grows=True, lost=True),
    "fast": Scenario({"chat": 8.0, "fast": 1.0}, grows=True),
    "fast, lost": Scenario({"chat": 8.0, "fast": 1.0}, grows=True, lost=True),
    "little, lost": Scenario({"chat": 5.0}, grows=False, lost=True),
}


@dataclass(frozen=True, slots=True)
class Played:
    scenario: str
    contender: str
    run: Run
    cost_usd: Mapping[str, float]
    late: Mapping[str, float]
    """Attainment of the last three quarters."""
    grants: tuple[str, ...]
    """Each change of the advantage that a decision records, in words."""
    seen: Mapping[str, int]
    """Of the decisions of the accelerator: how often which kind of advantage was in evidence."""
    holds: tuple[str, ...]
    """What the accelerator was told, in words."""
    last: str
    """The last evidence of its advantage."""


def workload(rates_per_s: Mapping[str, float], duration_s: float, seed: int) -> Workload:
    """Poisson arrivals that begin within a quarter of an hour; log-normal lengths."""
    random = np.random.default_rng(seed)
    parts = []
    for number, mean in enumerate(rates_per_s.values()):
        peak = 1.2 * mean
        at = np.sort(random.random(random.poisson(peak * duration_s)) * duration_s)
        rate = mean * np.clip(at / 900.0, 0.1, 1.0) * (1 + 0.2 * np.sin(2 * np.pi * at / 2400.0))
        at = at[random.random(len(at)) * peak < rate]
        parts.append((at, np.full(len(at), number)))
    at = np.concatenate([part[0] for part in parts])
    order = np.argsort(at, kind="stable")
    names = list(rates_per_s)
    classes = tuple(names[i] for i in np.concatenate([p[1] for p in parts])[order].tolist())
    prompts = 1500.0 * np.exp(0.6 * random.standard_normal(len(at)) - 0.18)
    answers = 300.0 * np.exp(0.6 * random.standard_normal(len(at)) - 0.18)
    return Workload(
        at[order] - at.min(),
        np.clip(prompts, 8, 16_000).astype(np.int64),
        np.clip(answers, 4, 2000).astype(np.int64),
        classes,
    )


def rules_of(scenario: Scenario, contender: str, floor: str) -> str:
    least = LEAST.get(contender)
    return RULES.format(
        classes=", ".join(f"{name}: {CLASSES[name]}" for name in scenario.rates_per_s),
        triggers=", ".join(f"{{name: meet-{c}, slo: {c}}}" for c in scenario.rates_per_s),
        gpu=GPU_USD,
        accelerator=""
        if least is None
        else ACCELERATOR.format(
            least=least,
            price=ACCELERATOR_USD,
            serves=", ".join(scenario.served),
            advantage=NO_GATE if contender == "at will" else GATE.format(floor=floor),
        ).strip("\n"),
    )


def spec_of(scenario: Scenario, contender: str, duration_s: float) -> PlantSpec:
    """The plant; half-way the accelerator is lost where the scenario says so."""
    gpu = PoolSpec(
        "gpu", 0.015, 0.0005, 0.01, 0.0001, max_batch=64, kv_tokens=400_000,
        startup_s=130.0, price_usd_per_hour=GPU_USD,
    )  # fmt: skip
    lost = Fault(duration_s / 2, FaultKind.POOL_LOST, duration_s)
    wse = PoolSpec(
        "wse", 0.002, 0.00003, 0.002, 0.000015, max_batch=128, kv_tokens=2_000_000,
        startup_s=280.0, price_usd_per_hour=ACCELERATOR_USD, lease_s=3600.0, serves=scenario.served,
        faults=(lost,) if scenario.lost else (),
    )  # fmt: skip
    return PlantSpec("chat", (gpu,) if contender == "GPUs only" else (gpu, wse))


def played_as(name: str, contender: str) -> str:
    """GPUs alone lose no accelerator: one run serves both scenarios."""
    return name.removesuffix(", lost") if contender == "GPUs only" else name


def run(name: str, contender: str, hours: float, seed: int, floor: str) -> Played:
    scenario, duration_s = SCENARIOS[name], hours * 3600.0
    sources = {"chat.yaml": rules_of(scenario, contender, floor)}
    trace = Trace(name, workload(scenario.rates_per_s, duration_s, seed))
    spec = spec_of(scenario, contender, duration_s)
    world = world_of(Plan(sources, None, "chat", spec, (trace,), seed), 0)
    kept: list[tuple[ControllerPilot, Plant]] = []

    def make(world: World, plant: Plant) -> ControllerPilot:
        kept.append((ControllerPilot(world, plant), plant))
        return kept[0][0]

    played = play(world, make, contender=contender)
    pilot, plant = kept[0]
    first = len(next(iter(played.minutes.arrived.values()))) // 4
    return Played(
        name,
        contender,
        played,
        dict(plant.outcomes(()).cost_usd),
        {
            c: played.minutes.kept[c][first:].sum() / max(counts[first:].sum(), 1)
            for c, counts in played.minutes.arrived.items()
        },
        _grants(pilot.decisions),
        Counter(d.inputs.advantage.kind or "none" for d in pilot.decisions if d.inputs.advantage),
        tuple(_acts(pilot.decisions)),
        next((d.inputs.advantage.why for d in reversed(pilot.decisions) if d.inputs.advantage), ""),
    )


def _when(decision: Decision) -> str:
    """Since the trace's start."""
    return f"{(decision.at - ORIGIN_S) / 60:6.1f} min"


def _grants(decisions: list[Decision]) -> tuple[str, ...]:
    found, granted = [], False
    for decision in decisions:
        advantage = decision.inputs.advantage
        if advantage is not None and advantage.granted != granted:
            granted = advantage.granted
            word = "granted" if granted else "withdrawn"
            found.append(f"{_when(decision)} {word}: {advantage.why}")
    return tuple(found)


def _acts(decisions: list[Decision]) -> list[str]:
    found = []
    for decision in decisions:
        if decision.pool == "wse" and decision.acts:
            why = "; ".join(p.detail for p in decision.proposals if p.detail)
            when = _when(decision)
            found.append(f"{when} {decision.current} → {decision.desired} ({why})")
    return found


def worst(played: Played) -> float:
    """Attainment of the worst class."""
    return min(played.late.values())


def keeps(played: Played) -> bool:
    return worst(played) >= GOAL


def tell(name: str, found: Mapping[str, Played]) -> None:
    print(f"== {name}")
    for contender, one in found.items():
        whole = ", ".join(f"{c} {share:.2%}" for c, share in one.run.attainment.items())
        late = ", ".join(f"{share:.2%}" for share in one.late.values())
        held = one.run.timeline.ready.get("wse")
        most = 0 if held is None else int(held.max())
        share = 0.0 if held is None else float((held > 0).mean())
        cost = " + ".join(f"{usd:.2f} {pool}" for pool, usd in one.cost_usd.items())
        print(
            f"  {contender:14} {one.run.cost_usd:8.2f} USD ({cost}); SLO kept: {whole},"
            f" later {late}; accelerators {most} at most, {share:.0%} of the time"
        )
    rules = found["rules"]
    scenario = SCENARIOS[name]
    grew = any("0 → " in line for line in rules.holds)
    verdict = "as it must" if grew == scenario.grows else "WRONG"
    print(f"  the accelerator {'grew' if grew else 'never grew'}: {verdict};", end=" ")
    others = [found[contender] for contender in BESIDE]
    sound = [one for one in others if keeps(one)] or [max(others, key=worst)]
    better = min(sound, key=lambda one: one.run.cost_usd)
    gpus = rules.run.cost_usd / found["GPUs only"].run.cost_usd
    ratio = rules.run.cost_usd / better.run.cost_usd
    within = "within" if ratio <= AIM else "NOT within"
    kept = "" if keeps(better) else ", though none keeps the SLOs"
    ours = "" if keeps(rules) else "; the rules MISS the SLO"
    print(
        f"cost {ratio:.3f} of {better.contender}, the better{kept}: {within} 5 %{ours};"
        f" {gpus:.3f} of GPUs only,"
        f" {rules.run.cost_usd / found['from the start'].run.cost_usd:.3f} of from the start"
    )
    print(f"  evidence of the accelerator's decisions: {dict(rules.seen)}")
    for line in (*rules.grants, *rules.holds, f"       at last: {rules.last}"):
        print(f"    {line}")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--only", nargs="+", default=list(SCENARIOS), choices=list(SCENARIOS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--floor", default="60%", help="min_utilisation; 60%% as in the examples")
    asked = parser.parse_args()
    with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as workers:
        waiting = {}
        for name in asked.only:
            for contender in CONTENDERS:
                key = played_as(name, contender), contender
                if key not in waiting:
                    waiting[key] = workers.submit(run, *key, asked.hours, asked.seed, asked.floor)
        for name in asked.only:
            tell(name, {c: waiting[played_as(name, c), c].result() for c in CONTENDERS})


if __name__ == "__main__":
    main()

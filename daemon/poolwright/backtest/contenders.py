"""The contenders of a backtest: how each is made, and which settings its sweep tries."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from poolwright.backtest.figures import Run
from poolwright.backtest.peers.dynamo import DynamoPlanner, Profile
from poolwright.backtest.peers.hpa import HorizontalPodAutoscaler
from poolwright.backtest.peers.kpa import KnativePodAutoscaler
from poolwright.backtest.peers.peer import Peer
from poolwright.backtest.peers.ray_serve import RayServe
from poolwright.backtest.peers.skyserve import SkyServe
from poolwright.backtest.peers.static import Static
from poolwright.backtest.peers.wva import (
    KV_THRESHOLD,
    QUEUE_THRESHOLD,
    Triggers,
    WorkloadVariantAutoscaler,
)
from poolwright.backtest.pilots import ControllerPilot, PeerPilot
from poolwright.backtest.playing import play
from poolwright.backtest.searching import clairvoyant, windows_of
from poolwright.backtest.world import Limits, World, limits_of, strictest

OURS = "poolwright"
BASELINE = "baseline"
CLAIRVOYANT = "clairvoyant"
COARSE = 10
"""Settings of a sweep's first round; the second tries those between the best and its neighbours."""
LEAST, MOST = 0.01, 1.5
"""The sweep's range, in shares of what a replica carries at the SLO."""

Values = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """An algorithm with one figure that its operator would tune."""

    name: str
    title: str
    setting: str
    """The tuned figure in words, with `{}` for its value."""
    make: Callable[[World, Limits, float, str], Peer]
    scale: Callable[[World, Limits], Values]
    variants: tuple[str, ...] = ("",)
    whole: bool = False
    """The figure is a whole number."""

    def between(self, low: float, high: float) -> Values:
        """Settings to try between two neighbours of the first round."""
        if not self.whole:
            return tuple(low * (high / low) ** share for share in (1 / 3, 2 / 3))
        inner = np.unique(np.linspace(low, high, 5).round())
        return tuple(float(value) for value in inner if low < value < high)

    def told(self, value: float, variant: str) -> str:
        shown = f"{value:.0f}" if self.whole else f"{value:.3g}"
        text = self.setting.format(shown)
        return f"{text}, {variant}" if variant else text


def _geometric(most: float) -> Values:
    return tuple(float(value) for value in np.geomspace(LEAST * most, MOST * most, COARSE))


def _by_concurrency(_world: World, limits: Limits) -> Values:
    return _geometric(limits.concurrency)


def _by_rate(_world: World, limits: Limits) -> Values:
    return _geometric(limits.requests_per_s)


def _by_share(_world: World, _limits: Limits) -> Values:
    return _geometric(1.0)


def _by_spare(_world: World, _limits: Limits) -> Values:
    return tuple(float(value) for value in np.linspace(0.1, 0.98, COARSE))


def _by_count(world: World, _limits: Limits) -> Values:
    least, most = max(world.pool.min_replicas, 1), world.pool.max_replicas
    found = np.unique(np.linspace(least, max(least, most), COARSE).round())
    return tuple(float(value) for value in found)


def _dynamo(world: World, limits: Limits, value: float, variant: str) -> Peer:
    objective = strictest(world.goals)
    speed, load = limits.speed, limits.carrying
    full_s = speed.itl_base_s + speed.itl_per_request_s * load.batch
    itl_s = full_s if objective.itl_s is None else objective.itl_s
    return DynamoPlanner(Profile(world.pool_spec), itl_s, value, trend=variant == "trend")


def _wva(_world: World, _limits: Limits, value: float, _variant: str) -> Peer:
    return WorkloadVariantAutoscaler(Triggers(KV_THRESHOLD * value, QUEUE_THRESHOLD * value))


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "hpa",
            "Kubernetes HPA",
            "{} requests a pod",
            lambda _w, _l, value, _v: HorizontalPodAutoscaler(value),
            _by_concurrency,
        ),
        Family(
            "kpa",
            "Knative KPA",
            "{} requests a pod",
            lambda _w, _l, value, _v: KnativePodAutoscaler(value),
            _by_concurrency,
        ),
        Family(
            "ray",
            "Ray Serve",
            "{} ongoing requests a replica",
            lambda _w, _l, value, _v: RayServe(value),
            _by_concurrency,
        ),
        Family(
            "skyserve",
            "SkyServe",
            "{} req/s a replica",
            lambda _w, _l, value, _v: SkyServe(value),
            _by_rate,
        ),
        Family(
            "dynamo",
            "Dynamo SLA planner",
            "{} of the profile's throughput",
            _dynamo,
            _by_share,
            ("constant", "trend"),
        ),
        Family("wva", "llm-d WVA", "spare {} of the thresholds", _wva, _by_spare),
        Family(
            "static",
            "fixed count",
            "{} replicas",
            lambda _w, _l, value, _v: Static(round(value)),
            _by_count,
            whole=True,
        ),
    )
}
TITLES = {
    OURS: "Poolwright",
    BASELINE: "the old rules",
    CLAIRVOYANT: "clairvoyant",
    **{name: family.title for name, family in FAMILIES.items()},
}
AGAINST = (*FAMILIES, CLAIRVOYANT)


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to play: a contender on a trace with one setting."""

    trace: int
    contender: str
    value: float = 0.0
    variant: str = ""


def first_jobs(world: World, trace: int, contender: str) -> list[Job]:
    """The coarse round of a contender's sweep."""
    if contender in (OURS, BASELINE):
        return [Job(trace, contender)]
    if contender == CLAIRVOYANT:
        return [Job(trace, contender, window_s) for window_s in windows_of(world)]
    family = FAMILIES[contender]
    values = family.scale(world, limits_of(world))
    return [Job(trace, contender, v, variant) for variant in family.variants for v in values]


def finer_jobs(runs: list[Run], chosen: Run) -> list[Job]:
    """The second round: on both sides of the best run of the first."""
    family = FAMILIES.get(chosen.contender)
    if family is None:
        return []
    tried = sorted({run.value for run in runs if run.variant == chosen.variant})
    at = tried.index(chosen.value)
    neighbours = tried[max(at - 1, 0) : at + 2]
    values = {v for low, high in pairwise(neighbours) for v in family.between(low, high)}
    return [Job(chosen.trace, chosen.contender, v, chosen.variant) for v in sorted(values)]


def run_job(world: World, job: Job) -> Run:
    """Plays a job; the world is the one of the job's trace and rules."""
    if job.contender in (OURS, BASELINE):
        return play(world, ControllerPilot, contender=job.contender, trace=job.trace)
    if job.contender == CLAIRVOYANT:
        return clairvoyant(world, job.value, job.trace)
    family = FAMILIES[job.contender]
    peer = family.make(world, limits_of(world), job.value, job.variant)
    first = round(job.value) if job.contender == "static" else None
    return play(
        world,
        lambda world, plant: PeerPilot(world, plant, peer, first),
        contender=job.contender,
        setting=family.told(job.value, job.variant),
        value=job.value,
        variant=job.variant,
        trace=job.trace,
    )

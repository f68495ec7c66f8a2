"""Looks for the cheapest of the clairvoyant's plans that keeps every class's attainment."""

import math
from collections.abc import Callable
from functools import partial
from typing import Final

from poolwright.backtest.figures import Floats, Run
from poolwright.backtest.peers.clairvoyant import Clairvoyant, counts, lead_s, need_by_second
from poolwright.backtest.pilots import PeerPilot
from poolwright.backtest.playing import play
from poolwright.backtest.world import World, limits_of
from poolwright.model.rule import ClassRule
from poolwright.runtime.replay import ORIGIN_S

WINDOWS_S: Final = (1.0, 60.0, 300.0, 900.0)
HALVINGS: Final = 5
CUTS: Final = (1.0, 1.15, 1.4)
"""How much more than the smallest sufficient `k` is tried under a cut, in multiples of it."""


def windows_of(world: World) -> tuple[float, ...]:
    """Held for a lease as well, where there is one: less would be paid for all the same."""
    lease_s = world.pool_spec.lease_s
    return WINDOWS_S if lease_s <= 0 else tuple(sorted({*WINDOWS_S, lease_s}))


def clairvoyant(world: World, window_s: float, trace: int) -> Run:
    """The cheapest run found with counts that are held over `window_s`."""
    limits, classes = limits_of(world), world.goals
    need = need_by_second(world.trace.workload, limits)
    lead = lead_s(world.pool_spec)
    top = float(world.pool.max_replicas)

    def run(k: float, cut: float) -> Run:
        plan = counts(need, k, cut=cut, window_s=max(1, int(window_s)), lead_s=lead)
        peer = Clairvoyant(plan, ORIGIN_S)
        return play(
            world,
            lambda world, plant: PeerPilot(world, plant, peer),
            contender="clairvoyant",
            setting=f"{k:.2f} of the need, at most {cut:.0f}, held {window_s:.0f} s",
            value=window_s,
            trace=trace,
        )

    runs = _least(lambda k: run(k, top), 0.25, 4.0, classes)
    kept = [one for one in runs if one[1].keeps(classes)]
    found = [one[1] for one in runs]
    if kept:
        smallest = min(k for k, _ in kept)
        for more in CUTS:
            k = smallest * more
            peak = min(top, math.ceil(k * _peak(need)))
            found += _least_count(partial(run, k), peak, classes)
    return best(found, classes)


def best(runs: list[Run], classes: tuple[ClassRule, ...]) -> Run:
    """The cheapest that keeps every class's attainment, else the one that misses by least."""
    kept = [run for run in runs if run.keeps(classes)]
    if kept:
        return min(kept, key=lambda run: (run.cost_usd, run.shortfall(classes)))
    return min(runs, key=lambda run: (run.shortfall(classes), run.cost_usd))


def _peak(need: Floats) -> float:
    return float(need.max()) if len(need) else 0.0


def _least(
    run: Callable[[float], Run], low: float, high: float, classes: tuple[ClassRule, ...]
) -> list[tuple[float, Run]]:
    """Halves, by ratio, the interval in which runs begin to keep the attainment."""
    runs = [(high, run(high))]
    if not runs[0][1].keeps(classes):
        return runs
    for _ in range(HALVINGS + 1):
        middle = math.sqrt(low * high)
        runs.append((middle, run(middle)))
        if runs[-1][1].keeps(classes):
            high = middle
        else:
            low = middle
    return runs


def _least_count(
    run: Callable[[float], Run], peak: float, classes: tuple[ClassRule, ...]
) -> list[Run]:
    """Halves the range of cuts, whole replicas, down to the lowest that keeps the attainment."""
    runs: list[Run] = []
    low, high = 0, int(peak)
    while high - low > 1:
        middle = (low + high) // 2
        runs.append(run(float(middle)))
        if runs[-1].keeps(classes):
            high = middle
        else:
            low = middle
    return runs

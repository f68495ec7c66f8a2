"""A service's demand up to one instant, and what several assessments of that instant find in it.

Triggers of one pool, and the plan before them, ask for the same stream and the same need, only at
another quantile. Whatever follows from the same values is worked out once. A `Past` is made for an
instant and let go with it: it is no part of what is remembered.
"""

import math
from collections.abc import Mapping

import numpy as np

from poolwright.capacity.carrying import Carrying
from poolwright.capacity.demand import HISTORY_S, Demand
from poolwright.capacity.need import Needs, Stream, needs
from poolwright.capacity.pool_learner import BLOCK_S
from poolwright.capacity.speed import Speed
from poolwright.forecasting.ensemble import Backtest, backtest
from poolwright.model.sample import Bools, Floats

Shares = Mapping[int, float]
"""Of each class's demand, by class number."""
Key = tuple[tuple[int, float], ...]


class Past:
    """The seconds of `demand`, oldest first; it must not change meanwhile."""

    def __init__(self, demand: Demand) -> None:
        self.demand = demand
        self.seconds = demand.seconds
        self.known: Bools = demand.known(self.seconds)
        """Those that telemetry covers."""
        self._streams: dict[Key, Stream] = {}
        self._needs: dict[tuple[Key, Speed, Carrying], Needs] = {}
        self._tested: dict[tuple[Key, Speed, Carrying, float, int], Backtest | None] = {}

    def stream(self, shares: Shares) -> Stream:
        """The arrivals of all seconds."""
        key = tuple(shares.items())
        found = self._streams.get(key)
        if found is None:
            found = self._streams[key] = self.demand.stream(shares, self.seconds)
        return found

    def needs(self, shares: Shares, speed: Speed, load: Carrying) -> Needs:
        """Replicas that each second needs."""
        key = tuple(shares.items()), speed, load
        found = self._needs.get(key)
        if found is None:
            found = self._needs[key] = needs(self.stream(shares), speed, load, self.seconds)
        return found

    def backtest(
        self, shares: Shares, speed: Speed, load: Carrying, factor: float, horizon_s: float
    ) -> Backtest | None:
        """Of the need times `factor`, over blocks of the seconds that telemetry covers."""
        horizon = max(1, math.ceil(horizon_s / BLOCK_S))
        key = tuple(shares.items()), speed, load, factor, horizon
        if key not in self._tested:
            self._tested[key] = self._backtest(shares, speed, load, factor, horizon)
        return self._tested[key]

    def _backtest(
        self, shares: Shares, speed: Speed, load: Carrying, factor: float, horizon: int
    ) -> Backtest | None:
        blocks = self.seconds // BLOCK_S
        if not blocks:
            return None
        last = blocks * BLOCK_S
        known: Bools = np.all(self.known[-last:].reshape(blocks, BLOCK_S), axis=1)
        known[: math.ceil(self.opening_s(last, load.decode_s) / BLOCK_S)] = False
        needed = self.needs(shares, speed, load)
        series = needed.at_once * factor, needed.felt * factor, self.stream(shares).requests
        levels, truths, weights = (
            _blocks(values[-last:].reshape(blocks, BLOCK_S), known) for values in series
        )
        newest = self.demand.newest or 0
        ends = newest - np.arange(blocks - 1, -1, -1.0)[known] * BLOCK_S
        ratios = self.demand.season.ratios(ends, horizon * BLOCK_S)
        return backtest(levels.mean(axis=1), truths, weights, horizon, ratios)

    def opening_s(self, last: int, decode_s: float) -> float:
        """Of the last seconds, the first that tell nothing of how demand changes.

        Before the first request nobody asked yet, and then a batch fills: neither is a jump.
        """
        if self.demand.asked_s >= HISTORY_S:
            return 0.0
        return max(0.0, last - self.demand.asked_s + decode_s)


def _blocks(values: Floats, known: Bools) -> Floats:
    return values if known.all() else values[known]

"""Who sets the counts of a run: the rules' controller, or another autoscaler's algorithm."""

from collections.abc import Sequence
from typing import Protocol

from typing_extensions import override

from poolwright.backtest.observing import Observer
from poolwright.backtest.peers.peer import Peer
from poolwright.backtest.world import World
from poolwright.model.decision import Decision
from poolwright.runtime.driving import Driver
from poolwright.simulation.plant import Event, Plant
from poolwright.simulation.spec import FaultKind


class Pilot(Protocol):
    actions: int
    decisions: list[Decision]

    def prepare(self, at: float) -> None:
        """Before the trace begins; the pools stand at their minimum."""

    def second(self, at: float, events: Sequence[Event]) -> None:
        """Sees what happened in the second that ends at `at`, and acts."""
        ...


class ControllerPilot(Driver, Pilot):
    """The core that the daemon runs, driven as `poolwright replay` drives it."""

    def __init__(self, world: World, plant: Plant) -> None:
        super().__init__(world.rules, world.service, plant)

    @override
    def prepare(self, at: float) -> None:
        """The daemon finds the pools at their minimum as well."""


class PeerPilot(Pilot):
    """Another autoscaler on the first default pool, within its bounds; the others stay as set."""

    def __init__(self, world: World, plant: Plant, peer: Peer, first: int | None = None) -> None:
        self.actions = 0
        self.decisions: list[Decision] = []
        self._plant = plant
        self._pool = world.pool
        self._peer = peer
        self._first = self._bounded(self._pool.min_replicas if first is None else first)
        self._observer = Observer(self._pool.name)
        self._next: float | None = None

    @override
    def prepare(self, at: float) -> None:
        if self._first > self._pool.min_replicas:
            self._plant.set_replicas(self._pool.name, self._first, at=at)

    @override
    def second(self, at: float, events: Sequence[Event]) -> None:
        name = self._pool.name
        report = self._plant.report(name)
        second = self._observer.second(at, events, report)
        self._peer.observe(second)
        if self._next is None:
            self._next = at + self._peer.every_s
        if at < self._next or self._plant.faulty(name, FaultKind.API_UNREACHABLE, at):
            return
        self._next = at + self._peer.every_s
        count = self._bounded(self._peer.replicas(second))
        # Where the stock is short, the same wish is refused again and again.
        if count != report.desired:
            granted = self._plant.set_replicas(name, count, at=at)
            self.actions += granted != report.desired

    def _bounded(self, count: int) -> int:
        return min(max(count, self._pool.min_replicas), self._pool.max_replicas)

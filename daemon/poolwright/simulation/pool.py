"""One pool of the plant: its replicas by load, what it was granted, its faults and its bill.

Replicas that take requests stand in a list sorted by load, so that the least loaded one is found
without a look at the others.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Callable

from poolwright.model.pool import PoolReport
from poolwright.simulation.replica import Replica, Request
from poolwright.simulation.spec import Fault, FaultKind, PoolSpec


class Pool:
    def __init__(self, spec: PoolSpec) -> None:
        self.spec = spec
        self.replicas: list[Replica] = []
        """All that are paid for: starting, ready and draining, in the order of ordering."""
        self.desired = 0
        """The count granted last. A replica that died is owed until it can be ordered again."""
        self.faults: list[tuple[float, float, Fault]] = []
        """Beginning and end in the plant's own time."""
        self.slowed: dict[Fault, Replica] = {}
        """Which replica each fault of the kind SLOW_REPLICA has hit."""
        self._open: list[tuple[int, int, Replica]] = []
        self._listed: dict[int, int] = {}
        self._ordered = 0
        self._released_s = 0.0
        self._released_usd = 0.0

    def start(self, at: float) -> None:
        """Fault times count from here."""
        for fault in self.spec.faults:
            begin = at + fault.at_s
            self.faults.append((begin, begin + fault.duration_s, fault))

    def faulty(self, kind: str, at: float) -> bool:
        """True while a fault of that kind lasts."""
        return any(begin <= at < end and fault.kind == kind for begin, end, fault in self.faults)

    def slowdown(self, at: float, replica: Replica | None = None) -> float:
        """Of every replica; of this one by the faults that have hit it alone, too."""
        return math.prod(
            fault.factor
            for begin, end, fault in self.faults
            if begin <= at < end
            and (
                fault.kind is FaultKind.SLOW
                or (replica is not None and self.slowed.get(fault) is replica)
            )
        )

    def slow_one(self, fault: Fault) -> None:
        """The fault hits the oldest ready replica that none of its kind has hit."""
        hit = set(map(id, self.slowed.values()))
        found = next((r for r in self.replicas if r.ready and id(r) not in hit), None)
        if found is not None:
            self.slowed[fault] = found

    # --- orders ----------------------------------------------------------------------------

    @property
    def live(self) -> list[Replica]:
        return [replica for replica in self.replicas if not replica.draining]

    def sold_out(self, at: float) -> bool:
        return self.faulty(FaultKind.STOCKOUT, at) or self.faulty(FaultKind.POOL_LOST, at)

    def grant(self, count: int, at: float) -> int:
        """The count that the provider promises; what was promised before stays so."""
        limit = self.desired if self.sold_out(at) else max(self.desired, self.spec.stock)
        self.desired = min(count, limit)
        return self.desired

    def fill(self, at: float, jitter: Callable[[], float]) -> list[Replica]:
        """Orders what was granted and is not there; `jitter` is from -1 to 1."""
        if self.sold_out(at):
            return []
        ordered = []
        for _ in range(self.desired - len(self.live)):
            startup_s = self.spec.startup_s * (1 + self.spec.startup_jitter * jitter())
            self._ordered += 1
            name = f"{self.spec.name}-{self._ordered}"
            replica = Replica(name, self._ordered, self.spec, at, at + startup_s, self.slowdown(at))
            self.replicas.append(replica)
            ordered.append(replica)
        return ordered

    def surplus(self) -> list[Replica]:
        """Those to drain: starting ones first, then the least loaded, the newest of equals."""
        live = sorted(self.live, key=lambda r: (r.ready, r.running, -r.ordered_at))
        return live[: max(0, len(live) - self.desired)]

    def release(self, replica: Replica, at: float) -> None:
        replica.released = True
        replica.version += 1
        self.replicas.remove(replica)
        self._released_s += at - replica.ordered_at
        self._released_usd += self._cost_usd(replica, at)

    # --- choosing --------------------------------------------------------------------------

    def relist(self, replica: Replica) -> None:
        """To be called whenever a replica's load changed, or whether it takes requests."""
        load = self._listed.pop(replica.number, None)
        if load is not None:
            del self._open[bisect_left(self._open, (load, replica.number, replica))]
        if replica.open and not replica.released:
            insort(self._open, (replica.running, replica.number, replica))
            self._listed[replica.number] = replica.running

    def least_loaded(self, request: Request) -> Replica | None:
        """Of those with room for it; of equals the oldest."""
        for _, _, replica in self._open:
            if replica.fits(request):
                return replica
        return None

    # --- telling ---------------------------------------------------------------------------

    def report(self, at: float) -> PoolReport:
        live = self.live
        ready = sum(replica.ready for replica in live)
        return PoolReport(
            pool=self.spec.name,
            at=at,
            desired=self.desired,
            ready=ready,
            starting=self.desired - ready,
            terminating=len(self.replicas) - len(live),
        )

    def replica_seconds(self, at: float) -> float:
        """From order to release."""
        return self._released_s + sum(at - replica.ordered_at for replica in self.replicas)

    def bill_usd(self, at: float) -> float:
        """From order to release, at least the lease of every order."""
        return self._released_usd + sum(self._cost_usd(replica, at) for replica in self.replicas)

    def _cost_usd(self, replica: Replica, until: float) -> float:
        billed_s = max(until - replica.ordered_at, self.spec.lease_s)
        return billed_s / 3600 * self.spec.price_usd_per_hour

"""How long replicas take from order to ready, as the provider's reports show it."""

from typing import Final

from poolwright.signals.statistics import percentile

KEPT: Final = 20
LONGEST_S: Final = 3600.0
MOST_ORDERS: Final = 64
OVERDUE: Final = 3.0
"""Start-up times after which a replica that is not ready is not counted on any more."""


class StartupTimes:
    """Matches replicas that became ready with the oldest orders; told by each report of a pool."""

    __slots__ = ("_ordered", "_ready", "_total", "orders", "seconds")

    def __init__(self) -> None:
        self._ordered: list[float] = []
        self._ready: int | None = None
        self._total = 0
        self.seconds: list[float] = []
        """The last `KEPT`, the newest last."""
        self.orders: list[float] = []
        """When each of the last `MOST_ORDERS` replicas was ordered."""

    def report(self, at: float, ready: int, starting: int) -> None:
        """Takes a report. Orders that were cancelled or given up leave without a time."""
        total = ready + starting
        if self._ready is not None:
            new = [at] * max(0, total - self._total)
            self._ordered.extend(new)
            self.orders.extend(new)
            for _ in range(min(max(0, ready - self._ready), len(self._ordered))):
                took_s = at - self._ordered.pop(0)
                if 0.0 < took_s < LONGEST_S:
                    self.seconds.append(took_s)
            del self.seconds[:-KEPT], self.orders[:-MOST_ORDERS]
        del self._ordered[starting:]
        self._ready, self._total = ready, total

    def p95_s(self, declared_s: float) -> float:
        """The 95th percentile of those seen; with few of them the declared time counts as one."""
        seen = list(self.seconds)
        if len(seen) < 5:
            seen.append(declared_s)
        return percentile(seen, 95.0)

    def overdue(self, at: float, declared_s: float) -> int:
        """Replicas that were ordered so long ago that they will hardly come."""
        longest_s = OVERDUE * max(self.p95_s(declared_s), declared_s)
        return sum(at - ordered > longest_s for ordered in self._ordered)

    def leased(self, at: float, lease_s: float) -> int:
        """Replicas whose lease still runs: they cost the same whether they are kept or not."""
        return sum(at - ordered < lease_s for ordered in self.orders)

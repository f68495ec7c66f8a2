"""A fixed count: what is left when nobody scales."""

from dataclasses import dataclass

from poolwright.backtest.peers.peer import Second


@dataclass(frozen=True, slots=True)
class Static:
    count: int
    every_s: float = 60.0

    def observe(self, second: Second) -> None:
        """A fixed count looks at nothing."""

    def replicas(self, now: Second) -> int:
        del now
        return self.count

"""Which pool of the simulated plant a pool is."""

from collections.abc import Hashable

from typing_extensions import override

from poolwright.actuation.target import Target, Text


class SimulatedTarget(Target):
    pool: Text | None = None
    """Its name in the plant; without it, the rule file's."""

    @override
    def identity(self, service: str, pool: str) -> Hashable:
        """A plant is that of one service: pools of two services are never the same."""
        return service, self.pool or pool

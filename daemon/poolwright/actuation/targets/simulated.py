"""Which pool of the simulated plant a pool is."""

from collections.abc import Hashable
from typing import ClassVar

from typing_extensions import override

from poolwright.actuation.target import Needs, Target, Text


class SimulatedTarget(Target):
    needs: ClassVar[Needs | None] = Needs(
        "pools of the simulated plant of `make demo` and of tests", "", chooses=True
    )
    pool: Text | None = None
    """Its name in the plant; without it, the rule file's."""

    @override
    def identity(self, service: str, pool: str) -> Hashable:
        """A plant is that of one service: pools of two services are never the same."""
        return service, self.pool or pool

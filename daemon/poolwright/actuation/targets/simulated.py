"""Which pool of the simulated plant a pool is."""

from poolwright.actuation.target import Target, Text


class SimulatedTarget(Target):
    pool: Text | None = None
    """Its name in the plant; without it, the rule file's."""

"""The simulated plant and its workloads: pure, deterministic for a seed."""

from poolwright.simulation.coding import coding_hour

__all__ = ["coding_hour"]

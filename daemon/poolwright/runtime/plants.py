"""The plant that a trace is played through: standing at its minimum when the trace starts."""

from poolwright.model.rule import ServiceRule
from poolwright.simulation.plant import Plant
from poolwright.simulation.spec import PlantSpec

PREPARE_S = 600.0
"""The minimum of every pool is ordered for this long before the trace starts."""


def prepared(service: ServiceRule, spec: PlantSpec, *, seed: int, starts_at: float) -> Plant:
    """A plant in event time whose faults count from `starts_at`, the trace's start."""
    plant = Plant(spec, seed=seed, starts_at=starts_at)
    for pool in service.pools:
        plant.set_replicas(pool.name, pool.min_replicas, at=starts_at - PREPARE_S)
    return plant

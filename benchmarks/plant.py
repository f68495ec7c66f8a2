"""Prints how many simulated seconds the plant does in a CPU-second: coding hour, 10 replicas."""

import time

from poolwright.simulation.coding import coding_hour
from poolwright.simulation.plant import Plant
from poolwright.simulation.spec import PlantSpec, PoolSpec

plant = Plant(PlantSpec("code", (PoolSpec("gpu"),)), seed=1)
plant.set_replicas("gpu", 10, at=0.0)
for arrival in coding_hour(1).arrivals("interactive", origin_s=300.0):
    plant.submit(arrival)
start = time.process_time()
for at in range(4200):
    plant.advance(float(at))
cpu_s = time.process_time() - start
print(f"{4200 / cpu_s:,.0f} simulated seconds per CPU-second", plant.in_flight, plant.outcomes(()))

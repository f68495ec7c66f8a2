"""Prints how many requests the simulated plant serves in a CPU-second.

Hours of coding-assistant traffic laid over one another; `--day` adds a day of 1.4 million requests.
"""

import sys
import time

import numpy as np

from poolwright.simulation.coding import coding_hour
from poolwright.simulation.plant import Plant
from poolwright.simulation.spec import PlantSpec, PoolSpec
from poolwright.simulation.workloads import Workload

READY_S = 300.0


def overlaid(hours: int, copies: int) -> Workload:
    """So many copies of the hour at once, of different seeds, for so many hours."""
    made = [
        (hour * 3600.0, coding_hour(hour * copies + copy))
        for hour in range(hours)
        for copy in range(copies)
    ]
    at = np.concatenate([start + part.arrival_s for start, part in made])
    order = np.argsort(at, kind="stable")
    prompt = np.concatenate([part.input_tokens for _, part in made])
    output = np.concatenate([part.output_tokens for _, part in made])
    return Workload(at[order], prompt[order], output[order])


def measure(name: str, workload: Workload, replicas: int) -> None:
    plant = Plant(PlantSpec("code", (PoolSpec("gpu"),)), seed=1)
    plant.set_replicas("gpu", replicas, at=0.0)
    arrivals = workload.arrivals("interactive", origin_s=READY_S)
    pending = next(arrivals, None)
    start = time.process_time()
    at, events = 0.0, 0
    while pending is not None or plant.in_flight:
        at += 1.0
        while pending is not None and pending.at <= at:
            plant.submit(pending)
            pending = next(arrivals, None)
        events += len(plant.advance(at))
    cpu_s = time.process_time() - start
    ended = plant.outcomes(()).ended
    print(
        f"{name}: {ended / cpu_s:,.0f} requests and {events / cpu_s:,.0f} events per CPU-second "
        f"({ended:,} requests, {at:,.0f} simulated seconds, {cpu_s:.2f} CPU-seconds)"
    )


measure("one hour, 10 replicas", overlaid(1, 1), 10)
measure("eight at once, 24 replicas, which queue", overlaid(1, 8), 24)
measure("eight at once, 100 replicas", overlaid(1, 8), 100)
if "--day" in sys.argv:
    measure("a day, 100 replicas", overlaid(24, 7), 100)

"""Whether the share of arrivals that felt a need above a count is the share that misses with it.

The loads and plants of control.py but the day, each with fixed counts from the first second on.
Beside what missed stands what the model foresees at the plant's true speed, without correction:
the share of requests whose felt need (`capacity.need`) is above the count, and the share that
comes in a block of ten seconds whose peak is.
"""

import argparse
from dataclasses import replace

import numpy as np
from benchmarks.control import plan_of

from poolwright.backtest.contenders import Job, run_job
from poolwright.backtest.figures import Floats
from poolwright.backtest.peers.clairvoyant import by_second
from poolwright.backtest.world import World, limits_of, world_of
from poolwright.capacity.need import needs

COUNTS = {"bursts": (8, 10, 12, 14, 16), "chat": (2, 3, 4), "long": (2, 3, 4)}
BLOCK_S = 10


def foreseen(played: World) -> tuple[Floats, Floats]:
    """Of each request, the need that it felt, and the peak of the block in which it came."""
    workload, limits = played.trace.workload, limits_of(played)
    second = workload.arrival_s.astype(np.int64)
    seconds = (int(second.max()) // BLOCK_S + 1) * BLOCK_S
    stream = by_second(workload, seconds)
    # How long an answer becomes is not known when its request comes.
    mean_output = float(workload.output_tokens.mean())
    stream = replace(stream, output_tokens=stream.requests * mean_output)
    found = needs(stream, limits.speed, limits.carrying, seconds)
    peaks = found.at_once.reshape(-1, BLOCK_S).max(axis=1)
    return found.felt[second], peaks[second // BLOCK_S]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=list(COUNTS), choices=list(COUNTS))
    for name in parser.parse_args().only:
        played = world_of(plan_of(name), 0)
        felt, peaks = foreseen(played)
        for count in COUNTS[name]:
            run = run_job(played, Job(0, "static", float(count)))
            missed = 1.0 - min(run.attainment.values())
            print(
                f"{name:7} {count:3} replicas: {missed:6.1%} missed; felt more"
                f" {(felt > count).mean():6.1%}, in blocks whose peak is more"
                f" {(peaks > count).mean():6.1%}"
            )


if __name__ == "__main__":
    main()

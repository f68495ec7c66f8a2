"""CPU time of one `decide` per service, for 1, 10 and 100 services of the example rules."""

import argparse
import time
from pathlib import Path

from poolwright.controller import Controller

RULES = Path(__file__).parents[1] / "rules" / "coding-assistant.yaml"
START = 1_700_000_000.0
REPLICAS = 4


def run(services: int, seconds: int) -> float:
    """Microseconds of CPU per service and decide."""
    text = RULES.read_text()
    controller = Controller.from_sources(
        {
            f"{i}.yaml": text.replace("coding-assistant", f"svc-{i}")
            .replace("code-h100", f"gpu-{i}")
            .replace("code-wse", f"acc-{i}")
            for i in range(services)
        }
    )
    used = 0.0
    for second in range(seconds):
        at = START + second
        if second % 5 == 0:
            controller.ingest(
                {
                    "type": "replica",
                    "at": at,
                    "service": f"svc-{i}",
                    "pool": f"gpu-{i}",
                    "replica": f"r{r}",
                    "running": 30 + second % 7,
                    "waiting": 0,
                    "kv_cache_usage": 0.2,
                }
                for i in range(services)
                for r in range(REPLICAS)
            )
            for i in range(services):
                controller.report(f"gpu-{i}", at=at, ready=REPLICAS)
                controller.report(f"acc-{i}", at=at, ready=0)
        started = time.process_time()
        controller.decide(at)
        used += time.process_time() - started
    return used / seconds / services * 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    for count in (1, 10, 100):
        print(f"{count:4} services: {run(count, options.seconds):8.0f} µs per service and decide")

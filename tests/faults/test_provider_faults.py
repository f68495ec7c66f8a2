"""A daemon whose provider hangs, loses replies, throttles and is meddled with: one story.

The plant is real, and so is the proxy between it and the daemon's process.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import pytest
from testenv.fault_proxy import Fault, FaultKind, FaultProxy, fault_proxy
from testenv.kafka import free_port
from tests.contract.simulated_plant import served

from poolwright import rulefiles
from poolwright.clock import SystemClock
from poolwright.runtime.plant_server import plant_app
from poolwright.simulation.plant import Plant
from poolwright.simulation.spec import PlantSpec, PoolSpec

ROOT = Path(__file__).parents[2]
RULES = """
apiVersion: poolwright/v1
service: chat
heartbeat: 1s
pools:
  - {name: a, provider: {simulated: {}}, replicas: {min: MIN, max: 9}, outside_change: restore}
  - {name: b, provider: {simulated: {}}, replicas: {min: MIN, max: 9}, outside_change: alarm}
triggers:
  - {name: never, when: "desired < 0", add: 1}
limits:
  up: {step: 9, per: 1s, stabilise: 0s}
  down: {step: 9, per: 1s, stabilise: 1s}
"""
START = 2
WITHIN_S = 40.0


class Story:
    def __init__(self, folder: Path) -> None:
        self.clock = SystemClock()
        self.rules = folder / "rules"
        self.rules.mkdir()
        self.port = free_port()
        self.plant = Plant(
            PlantSpec("chat", tuple(PoolSpec(p, startup_s=0.5) for p in "ab")), seed=1
        )
        for pool in ("a", "b"):
            self.plant.set_replicas(pool, START, at=self.clock.now())

    def least(self, count: int) -> None:
        """Both pools have to have so many from now on."""
        (self.rules / "chat.yaml").write_text(RULES.replace("MIN", str(count)))

    def told(self, pool: str) -> int:
        return self.plant.report(pool).desired

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not holds():  # noqa: ASYNC110  another process does it
                await asyncio.sleep(0.02)

    async def reason(self, pool: str) -> str:
        """Of the pool's last decision; '' while there is none."""
        async with httpx2.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{self.port}/status", timeout=5.0)
        (found,) = [p for p in answer.json()["pools"] if p["pool"] == pool]
        return str(found["reason"])

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[FaultProxy]:
        (service,) = rulefiles.load(self.rules).services

        async def live() -> None:
            while True:
                self.plant.advance(self.clock.now())
                await asyncio.sleep(0.05)

        living = asyncio.create_task(live())
        async with served(plant_app(self.plant, service, self.clock)) as url:
            port = int(url.rpartition(":")[2])
            async with fault_proxy("127.0.0.1", port) as proxy:
                yield proxy
        living.cancel()


def of(pool: str, count: int | None = None) -> Callable[[bytes], bool]:
    """Requests about the pool; orders of a count alone where one is given."""
    wanted = b"" if count is None else b'"replicas":%d' % count

    def which(request: bytes) -> bool:
        head, _, body = request.partition(b"\r\n\r\n")
        about = b"/pools/%s" % pool.encode() in head
        return about and (count is None or (head.startswith(b"PUT") and wanted in body))

    return which


@pytest.mark.kafka
async def test_a_provider_that_fails_in_every_way_is_got_over(kafka, tmp_path) -> None:
    topic = f"provider-faults-{os.getpid()}"
    await kafka.create_topics(topic)
    story = Story(tmp_path)
    story.least(3)
    async with story.serving() as proxy:
        proxy.fault = Fault(FaultKind.HALF_OPEN, only=of("a"))
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("POOLWRIGHT_")},
            "PYTHONPATH": str(ROOT / "daemon"),
            "POOLWRIGHT_RULES": str(story.rules),
            "POOLWRIGHT_DATA": str(tmp_path / "data"),
            "POOLWRIGHT_HTTP_PORT": str(story.port),
            "POOLWRIGHT_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "POOLWRIGHT_KAFKA__TOPICS": json.dumps([topic]),
            "POOLWRIGHT_KAFKA__GROUP": topic,
            "POOLWRIGHT_SIMULATED_URL": proxy.url,
            "POOLWRIGHT_TICK_INTERVAL_S": "0.1",
        }
        log = (tmp_path / "log").open("wb")
        daemon = subprocess.Popen(  # noqa: ASYNC220  a process of its own, as in production
            [sys.executable, "-m", "poolwright", "run"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            # A pool whose API hangs delays no other.
            await story.until(lambda: story.told("b") == 3)
            assert story.told("a") == START
            proxy.heal()
            await story.until(lambda: story.told("a") == 3)

            # A lost reply is no reason to order twice.
            proxy.fault = Fault(FaultKind.LOSE_REPLY, only=of("a", 4))
            story.least(4)
            await story.until(lambda: story.told("a") == story.told("b") == 4)
            await story.until(proxy.struck.is_set)
            proxy.heal()
            assert proxy.count(of("a", 4)) == 1

            # What asks for patience gets it.
            proxy.fault = Fault(FaultKind.STATUS, only=of("a", 5), status=429, retry_after="3")
            story.least(5)
            await story.until(lambda: proxy.count(of("a", 5)) == 1)
            proxy.heal()
            await story.until(lambda: story.told("a") == story.told("b") == 5)
            orders = zip(proxy.requests, proxy.came_at, strict=True)
            refused_at, taken_at = [at for order, at in orders if of("a", 5)(order)]
            assert taken_at - refused_at >= 3.0
            assert proxy.count(of("a", 4)) == 1, "nothing that was done is done again"

            # One pool is restored, the other is left alone and said to be.
            await story.until(lambda: story.plant.report("b").ready == 5)
            for pool in ("a", "b"):
                story.plant.set_replicas(pool, 8, at=story.clock.now())
            await story.until(lambda: story.told("a") == 5)
            async with asyncio.timeout(WITHIN_S):
                while await story.reason("b") != "changed_outside":  # noqa: ASYNC110  as above
                    await asyncio.sleep(0.1)
            assert story.told("b") == 8
            assert proxy.count(of("b", 5)) == 1
        finally:
            daemon.terminate()
            daemon.wait(20)
            log.close()
    assert daemon.returncode == 0, (tmp_path / "log").read_text()

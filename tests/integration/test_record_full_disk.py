"""Promise 3 on a full disk: what cannot be recorded is not acted on, seen, and made good later."""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from aiokafka import AIOKafkaProducer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from testenv.kafka import free_port

from poolwright.decision import decide_again
from poolwright.record.journal import Journal
from poolwright.rulefiles import load_sources
from poolwright.runtime.web import WebServer

ROOT = Path(__file__).parents[2]
POOL = """
apiVersion: poolwright/v1
service: chat
pools:
  - {name: gpu, role: default, provider: {simulated: {}}, replicas: {min: 1, max: 9}}
signals:
  running: {metric: requests_running, across: sum, stat: last, window: 30s}
triggers:
  - {name: load, target: {signal: running, per_replica: 10}}
"""


class Plant:
    """An HTTP API of one pool whose replicas are ready at once."""

    def __init__(self) -> None:
        self.count = 1
        self.orders: list[int] = []
        routes = [
            Route("/pools/gpu", self.read),
            Route("/pools/gpu/replicas", self.scale, methods=["PUT"]),
        ]
        self.server = WebServer(Starlette(routes=routes), "127.0.0.1", 0)

    async def read(self, _: Request) -> JSONResponse:
        counts = {"desired": self.count, "ready": self.count, "starting": 0, "terminating": 0}
        return JSONResponse({"at": time.time(), **counts})

    async def scale(self, request: Request) -> JSONResponse:
        self.count = (await request.json())["replicas"]
        self.orders.append(self.count)
        return JSONResponse({})


async def until(what: str, condition, within_s: float = 30.0):
    deadline = time.monotonic() + within_s
    while not (found := await condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.05)
    return found


@pytest.mark.kafka
async def test_a_full_disk_stops_scaling_and_not_the_daemon(  # noqa: PLR0915  one story
    kafka, tmp_path
) -> None:
    topic = f"full-{os.getpid()}"
    await kafka.create_topics(topic, f"{topic}-decisions", f"{topic}-dead")
    (tmp_path / "rules.yaml").write_text(POOL)
    plant, port = Plant(), free_port()
    await plant.server.start()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "daemon"),
        "POOLWRIGHT_RULES": str(tmp_path / "rules.yaml"),
        "POOLWRIGHT_DATA": str(tmp_path / "data"),
        "POOLWRIGHT_HTTP_PORT": str(port),
        "POOLWRIGHT_KAFKA__BOOTSTRAP": kafka.bootstrap,
        "POOLWRIGHT_KAFKA__TOPICS": json.dumps([topic]),
        "POOLWRIGHT_KAFKA__GROUP": topic,
        "POOLWRIGHT_KAFKA__DECISIONS_TOPIC": f"{topic}-decisions",
        "POOLWRIGHT_KAFKA__DEAD_LETTER_TOPIC": f"{topic}-dead",
        "POOLWRIGHT_SIMULATED_URL": f"http://127.0.0.1:{plant.server.port}",
        "POOLWRIGHT_TICK_INTERVAL_S": "0.1",
        "POOLWRIGHT_CHECKPOINT_INTERVAL_S": "0.5",
    }
    log = (tmp_path / "log").open("wb")
    # The limit holds for the daemon's log as well: another process writes it.
    writer = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log)  # noqa: ASYNC220
    daemon = subprocess.Popen(  # noqa: ASYNC220  a process of its own, whose limit is set
        [sys.executable, "-m", "poolwright", "run"],
        env=environment,
        stdout=writer.stdin,
        stderr=subprocess.STDOUT,
    )
    client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=5.0)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()

    async def page(path: str) -> httpx2.Response | None:
        assert daemon.poll() is None, (tmp_path / "log").read_text()[-3000:]
        try:
            return await client.get(path)
        except httpx2.HTTPError:
            return None

    async def answers(status: int) -> bool:
        found = await page("/readyz")
        return found is not None and found.status_code == status

    async def metric(name: str) -> float:
        lines = (await client.get("/metrics")).text.splitlines()
        (line,) = [line for line in lines if line.startswith(f"poolwright_{name} ")]
        return float(line.split()[1])

    async def load(running: float) -> None:
        event = {"type": "replica", "at": time.time(), "service": "chat", "pool": "gpu"}
        event |= {"replica": "r1", "running": running, "waiting": 0}
        await producer.send_and_wait(topic, json.dumps(event).encode(), key=b"chat")

    try:
        await until("ready", lambda: answers(200))
        await load(5.0)

        async def steady() -> bool:
            await load(5.0)
            body = (await client.get("/status")).json()
            return body["pools"][0]["reason"] == "steady"

        await until("the pool is known and steady", steady)
        # From now on no file of the daemon may grow: to it, the disk is full.
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        await load(35.0)
        await until("not ready", lambda: answers(503))
        refusal = await client.get("/readyz")
        assert "nothing is scaled" in refusal.text
        assert "free space on its disk" in refusal.text
        assert (await client.get("/healthz")).status_code == 200
        assert await metric("journal_failing") == 1.0
        failures = await metric("journal_errors_total")

        async def tried_again() -> bool:
            return await metric("journal_errors_total") > failures + 5

        await until("more attempts", tried_again)
        assert plant.orders == []
        assert (await client.get("/status")).json()["journal_error"]

        limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, limit)
        await until("ready again", lambda: answers(200))

        async def scaled() -> bool:
            await load(35.0)
            return plant.count == 4

        await until("a decision made afterwards", scaled)
        daemon.terminate()
        assert await asyncio.to_thread(daemon.wait, 20) == 0
    finally:
        daemon.kill()
        daemon.wait()
        writer.communicate()
        log.close()
        await client.aclose()
        await producer.stop()
        await plant.server.stop()
    assert "nothing is scaled until this is mended" in (tmp_path / "log").read_text()

    journal = Journal(tmp_path / "data" / "journal.db", read_only=True)
    acts = [stored.decision for stored in journal.decisions() if stored.decision.acts]
    ends = [[(a.report.status, a.report.cause) for a in journal.actions(d.id)] for d in acts]
    assert ends[0] == [("refused", "not_recorded")]
    assert [end[-1][0] for end in ends[1:]] == ["confirmed"]
    (service,) = load_sources(journal.rules(acts[0].rules_revision)).services
    for stored in journal.decisions():
        assert decide_again(service, stored.decision) == stored.decision
    journal.close()

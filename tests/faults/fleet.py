"""What fault tests need: daemons as processes, a provider's API, and telemetry without an end."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import TopicPartition
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from testenv.kafka import KafkaServer, free_port

from poolwright.model.decision import Decision
from poolwright.record.journal import Journal
from poolwright.runtime.web import WebServer

ROOT = Path(__file__).parents[2]
STABILISE_S = 6.0
RULE = """\
apiVersion: poolwright/v1
service: {service}
pools:
  - name: {service}-gpu
    role: default
    provider: {{simulated: {{}}}}
    replicas: {{min: 1, max: 9}}
signals:
  running:
    {{metric: requests_running, across: sum, stat: last, window: 4s, max_age: 4s, quorum: 1%}}
triggers:
  - {{name: load, target: {{signal: running, per_replica: 10}}}}
limits:
  up: {{step: 4, per: 1s}}
  down: {{step: 4, per: 1s, stabilise: {stabilise:g}s}}
"""


def services_apart(partitions: int) -> list[str]:
    """A service for each partition, by the default partitioner."""
    numbers = list(range(partitions))
    found: dict[int, str] = {}
    names = (f"chat-{n}" for n in range(1000))
    while len(found) < partitions:
        name = next(names)
        found.setdefault(DefaultPartitioner()(name.encode(), numbers, numbers), name)
    return [found[number] for number in numbers]


def write_rules(folder: Path, services: list[str]) -> Path:
    folder.mkdir()
    for service in services:
        text = RULE.format(service=service, stabilise=STABILISE_S)
        (folder / f"{service}.yaml").write_text(text)
    return folder


async def until(
    done: Callable[[], Any], what: str | Callable[[], object], within_s: float = 30.0
) -> None:
    deadline = time.monotonic() + within_s
    while True:
        answer = done()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Order:
    """A changing call that the provider took."""

    at: float
    pool: str
    count: int
    before: int
    decision_id: str


class Provider:
    """An HTTP API whose replicas are ready at once, and which remembers who ordered what."""

    def __init__(self, services: list[str], count: int = 1) -> None:
        self.counts = {f"{service}-gpu": count for service in services}
        self.orders: list[Order] = []
        routes = [
            Route("/pools/{name}", self._read),
            Route("/pools/{name}/replicas", self._scale, methods=["PUT"]),
        ]
        self._server = WebServer(Starlette(routes=routes), "127.0.0.1", 0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    def all_at(self, count: int) -> bool:
        return set(self.counts.values()) == {count}

    async def _read(self, request: Request) -> JSONResponse:
        count = self.counts[request.path_params["name"]]
        body = {"desired": count, "ready": count, "starting": 0, "terminating": 0}
        return JSONResponse({"at": time.time(), **body})

    async def _scale(self, request: Request) -> JSONResponse:
        pool, body = request.path_params["name"], await request.json()
        before, self.counts[pool] = self.counts[pool], body["replicas"]
        self.orders.append(Order(time.time(), pool, body["replicas"], before, body["key"]))
        return JSONResponse({})

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()


class Telemetry:
    """Samples of every service, one a message, five times a second, until it is left.

    `running` is what each service reports; it may be changed at any time.
    """

    def __init__(self, kafka: KafkaServer, topic: str, services: list[str], running: float) -> None:
        self._kafka, self._topic, self._services = kafka, topic, services
        self.running = running
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def _play(self) -> None:
        # Idempotent: what is sent again after an outage is in the log once.
        async with AIOKafkaProducer(
            bootstrap_servers=self._kafka.bootstrap, enable_idempotence=True
        ) as producer:
            while not self._stop.is_set():
                for service in self._services:
                    event = {"type": "replica", "at": time.time(), "service": service}
                    event |= {"pool": f"{service}-gpu", "replica": "r", "running": self.running}
                    value = json.dumps(event).encode()
                    await producer.send_and_wait(self._topic, value, key=service.encode())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), 0.2)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._play())
        return self

    async def end(self) -> None:
        """Stops producing; everything sent is in the log when it returns."""
        self._stop.set()
        if self._task is not None:
            await self._task

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class Instance:
    """A daemon process with a data folder of its own."""

    def __init__(
        self, name: str, kafka: KafkaServer, topic: str, rules: Path, provider: Provider
    ) -> None:
        self.folder = rules.parent / name
        self.folder.mkdir()
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("POOLWRIGHT_")},
            "PYTHONPATH": str(ROOT / "daemon"),
            "POOLWRIGHT_RULES": str(rules),
            "POOLWRIGHT_DATA": str(self.folder),
            "POOLWRIGHT_HTTP_PORT": str(self.port),
            "POOLWRIGHT_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "POOLWRIGHT_KAFKA__TOPICS": json.dumps([topic]),
            "POOLWRIGHT_KAFKA__GROUP": topic,
            "POOLWRIGHT_KAFKA__DECISIONS_TOPIC": f"{topic}-decisions",
            "POOLWRIGHT_KAFKA__DEAD_LETTER_TOPIC": f"{topic}-dead",
            "POOLWRIGHT_SIMULATED_URL": provider.url,
            "POOLWRIGHT_TICK_INTERVAL_S": "0.2",
            "POOLWRIGHT_CHECKPOINT_INTERVAL_S": "1",
        }

    def start(self) -> Self:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "poolwright", "run"],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def terminate(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(20) == 0, self.log()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        return (self.folder / "log").read_text()[-4000:]

    async def get(self, path: str) -> httpx2.Response | None:
        """None while nothing listens."""
        assert self.alive, self.log()
        async with httpx2.AsyncClient() as client:
            try:
                return await client.get(f"http://127.0.0.1:{self.port}{path}", timeout=5.0)
            except httpx2.TransportError:
                return None

    async def answers(self, path: str, code: int = 200) -> bool:
        answer = await self.get(path)
        return answer is not None and answer.status_code == code

    async def owned(self) -> frozenset[str]:
        answer = await self.get("/status")
        pools = [] if answer is None else answer.json()["pools"]
        return frozenset(pool["service"] for pool in pools if pool["owned"])

    async def samples(self) -> int:
        """Of its life so far, by /metrics."""
        answer = await self.get("/metrics")
        assert answer is not None
        for family in text_string_to_metric_families(answer.text):
            if family.name == "poolwright_samples":
                return int(family.samples[0].value)
        raise AssertionError(answer.text)

    @contextlib.contextmanager
    def journal(self) -> Iterator[Journal]:
        journal = Journal(self.folder / "journal.db", read_only=True)
        try:
            yield journal
        finally:
            journal.close()

    def decisions(self) -> list[Decision]:
        if not (self.folder / "journal.db").exists():
            return []
        with self.journal() as journal:
            return [stored.decision for stored in journal.decisions()]

    def held(self) -> Mapping[str, int]:
        """The offsets of its last checkpoint."""
        with self.journal() as journal:
            saved = journal.load_checkpoint()
        return {} if saved is None else saved.offsets


@contextlib.asynccontextmanager
async def ended(*instances: Instance) -> AsyncIterator[None]:
    """However the test goes, no process is left over."""
    try:
        yield
    finally:
        for instance in instances:
            instance.kill()


async def offsets(kafka: KafkaServer, topic: str, partitions: int) -> tuple[list[int], list[int]]:
    """What the group has committed, and where the partitions end."""
    numbers = [TopicPartition(topic, number) for number in range(partitions)]
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap, group_id=topic, enable_auto_commit=False
    ) as consumer:
        committed = [await consumer.committed(number) or 0 for number in numbers]
        ends = await consumer.end_offsets(numbers)
    return committed, [ends[number] for number in numbers]

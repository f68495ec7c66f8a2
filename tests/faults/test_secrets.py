"""No secret leaves the daemon: it decides, scales, fails and stops, and all it wrote is searched.

Each provider fails in ways that tempt it to show its credential, and logs at DEBUG level.
"""

import asyncio
import base64
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from aiokafka import AIOKafkaConsumer
from testenv.fault_proxy import Fault, FaultKind, fault_proxy
from testenv.kafka import KafkaServer, free_port
from tests.contract.fake_kubernetes import FakeKubernetes
from tests.contract.simulated_plant import served
from tests.faults.secret_forms import leaks
from tests.integration.otlp_receivers import GrpcReceiver
from tests.integration.third_party import install

from poolwright import rulefiles
from poolwright.clock import SystemClock
from poolwright.runtime.plant_server import plant_app
from poolwright.simulation.plant import Plant
from poolwright.simulation.spec import PlantSpec, PoolSpec

ROOT = Path(__file__).parents[2]
WITHIN_S = 60.0

KAFKA = "kafka-Pa55/w+rd"
PLANT = "plant:pa$$w@rd/1"
CLUSTER = "cluster-t0ken.with/odd+chars=="
GOSSIP = 'gossip "t0ken" \\ of 2'
PAST = "pr0metheus-passw0rd"
EXPORTER = "exporter-t0ken-9"
AWS = "aws/s3cret/Access+Key/4567890123"
SESSION = "aws//s3ssion+t0ken=="

GOSSIPER = '''\
"""A provider of another package that shows its token wherever it can, but has told it once."""
import asyncio, base64, logging, os, time
from poolwright.actuation.provider import Finding, Level
from poolwright.actuation.target import Target
from poolwright.model.pool import PoolReport
from poolwright.redaction import never_show

log = logging.getLogger(__name__)

class GossipTarget(Target):
    pass

class GossipProvider:
    def __init__(self, pool, settings):
        self._pool, self._token = pool.name, os.environ["ACME_LOGIN"]
        never_show(self._token)
    async def read(self):
        encoded = base64.b64encode(f"me:{self._token}".encode())
        log.info("sending %s and %r", encoded, {"x-key": self._token})
        asyncio.get_running_loop().call_soon(self._fail)
        short = f"the key {self._token} is over its quota"
        return PoolReport(self._pool, time.time(), 1, 1, 0, 0, short)
    def _fail(self):
        raise ValueError(self._token)
    async def set_replicas(self, count, *, key, drain=()):
        raise RuntimeError(f"refused: {{'x-key': {self._token!r}}}")
    async def inspect(self):
        return [Finding(Level.PROBLEM, f"{self._token} may not", f"renew {self._token}")]
    async def close(self):
        raise OSError(f"cannot close https://me:{self._token}@acme.test")
'''

RULES = """
apiVersion: poolwright/v1
service: chat
heartbeat: 1s
pools:
  - {name: plant, provider: {simulated: {}}, replicas: {min: 3, max: 9}}
  - {name: cluster, provider: {kubernetes: {kind: Deployment, namespace: inference, name: chat}},
     replicas: {min: 3, max: 9}}
  - {name: gossip, provider: {gossip: {}}, replicas: {min: 3, max: 9}}
limits:
  up: {step: 9, per: 1s, stabilise: 0s}
"""


@dataclass
class Written:
    """Everything that came out of the daemon and the commands, by where it was found."""

    folder: Path
    parts: dict[str, bytes] = field(default_factory=dict)

    def add(self, where: str, text: str | bytes) -> None:
        self.parts[where] = text.encode() if isinstance(text, str) else text

    def files(self, when: str) -> None:
        for path in self.folder.rglob("*"):
            if path.is_file():
                self.add(f"{path.name} {when}", path.read_bytes())

    def leaked(self, secret: str) -> dict[str, list[str]]:
        found = {where: leaks(part, secret) for where, part in self.parts.items()}
        return {where: places for where, places in found.items() if places}


@pytest.fixture(scope="module")
def secure(kafka, tmp_path_factory) -> Iterator[KafkaServer]:
    folder = tmp_path_factory.mktemp("secure")
    with KafkaServer(folder, scram_user=("poolwright", KAFKA)) as server:
        yield server


@pytest.fixture
def environment(tmp_path, secure, monkeypatch) -> dict[str, str]:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "chat.yaml").write_text(RULES)
    site = install(
        tmp_path / "site", "gossip", GOSSIPER, provider="GossipProvider", target="GossipTarget"
    )
    topic = f"secrets-{os.getpid()}"
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("POOLWRIGHT_")},
        "PYTHONPATH": os.pathsep.join([str(ROOT / "daemon"), str(site)]),
        "POOLWRIGHT_RULES": str(tmp_path / "rules"),
        "POOLWRIGHT_DATA": str(tmp_path / "data"),
        "POOLWRIGHT_LOG_LEVEL": "DEBUG",
        "POOLWRIGHT_HTTP_PORT": str(free_port()),
        "POOLWRIGHT_TICK_INTERVAL_S": "0.1",
        "POOLWRIGHT_CHECKPOINT_INTERVAL_S": "0.5",
        "POOLWRIGHT_ACTION_DEADLINE_S": "3",
        "POOLWRIGHT_KAFKA__BOOTSTRAP": secure.secure_bootstrap,
        "POOLWRIGHT_KAFKA__SECURITY": "SASL_SSL",
        "POOLWRIGHT_KAFKA__SASL_USERNAME": "poolwright",
        "POOLWRIGHT_KAFKA__SASL_PASSWORD": KAFKA,
        "POOLWRIGHT_KAFKA__CA_FILE": str(secure.ca_file),
        "POOLWRIGHT_KAFKA__TOPICS": json.dumps([topic]),
        "POOLWRIGHT_KAFKA__GROUP": topic,
        "POOLWRIGHT_KAFKA__DECISIONS_TOPIC": f"{topic}-decisions",
        "POOLWRIGHT_KAFKA__DEAD_LETTER_TOPIC": f"{topic}-dead",
        "POOLWRIGHT_HISTORY__PROMETHEUS_URL": f"http://me:{PAST}@127.0.0.1:{free_port()}",
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{EXPORTER}",
        "AWS_ACCESS_KEY_ID": "AKIAPOOLWRIGHT",
        "AWS_SECRET_ACCESS_KEY": AWS,
        "AWS_SESSION_TOKEN": SESSION,
        "ACME_LOGIN": GOSSIP,
        "COLUMNS": "4000",
    }


@dataclass
class Story:
    environment: dict[str, str]
    written: Written

    async def command(self, *words: str) -> str:
        """What it wrote to both streams, which is searched, too."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "poolwright", *words),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        self.written.add(" ".join(words), output)
        return output.decode()

    async def page(self, path: str) -> str:
        port = self.environment["POOLWRIGHT_HTTP_PORT"]
        async with httpx2.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{port}{path}", timeout=5.0)
        self.written.add(path, answer.content)
        return answer.text

    def ended(self) -> dict[str, set[str]]:
        """By pool how its actions have ended so far."""
        path = Path(self.environment["POOLWRIGHT_DATA"]) / "journal.db"
        found: dict[str, set[str]] = {}
        with (
            contextlib.suppress(sqlite3.OperationalError),  # not yet made
            contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal,
        ):
            for pool, status in journal.execute("select pool, status from actions"):
                found.setdefault(pool, set()).add(status)
        return found

    async def until(self, holds: Callable[[], bool], daemon: subprocess.Popen[bytes]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not holds():
                assert daemon.poll() is None
                await asyncio.sleep(0.05)


def echo(secret: str) -> Fault:
    """A refusal of each write that quotes the request's header, decoded and as it came."""
    quoted = {"Authorization": f"Bearer {secret}", "token": secret, "in_url": quote(secret)}
    basic = base64.b64encode(f"me:{secret}".encode()).decode()
    words = f"Unauthorized: {json.dumps(quoted)} Basic {basic}"
    body = json.dumps({"kind": "Status", "code": 401, "message": words}).encode()
    return Fault(
        FaultKind.STATUS,
        only=lambda request: request.startswith((b"PUT", b"PATCH")),
        status=401,
        body=body,
    )


def test_the_search_finds_what_it_is_to_find() -> None:
    for text in (
        f"the {CLUSTER}!",
        quote(CLUSTER, safe=""),
        json.dumps([GOSSIP]),
        repr({"a": GOSSIP}),
        *(base64.b64encode(f"{'u' * n}:{CLUSTER}".encode()).decode() for n in range(3)),
        base64.encodebytes(f"me:{AWS * 3}".encode()).decode(),
    ):
        assert any(leaks(text.encode(), secret) for secret in (CLUSTER, GOSSIP, AWS)), text
    assert leaks(b"the cluster has a token", CLUSTER) == []


@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_no_secret_is_in_anything_that_the_daemon_writes(  # noqa: PLR0915  one story
    environment, secure, tmp_path
) -> None:
    written = Written(tmp_path / "data")
    story = Story(environment, written)
    topic = environment["POOLWRIGHT_KAFKA__GROUP"]
    topics = [f"{topic}-decisions", f"{topic}-dead"]
    await secure.create_topics(topic, *topics)
    receiver = GrpcReceiver()
    receiver.start()
    environment["POOLWRIGHT_TRACING__OTLP_ENDPOINT"] = f"http://127.0.0.1:{receiver.port}"
    cluster = FakeKubernetes()
    log_path = tmp_path / "log"
    log = log_path.open("wb")
    async with cluster.serving() as url, plant(tmp_path / "rules") as (plant_port, leave):
        host, _, port = url.removeprefix("http://").partition(":")
        async with fault_proxy(host, int(port)) as proxy:
            write_kubeconfig(tmp_path / "kubeconfig", proxy.url)
            environment["KUBECONFIG"] = str(tmp_path / "kubeconfig")
            environment["POOLWRIGHT_SIMULATED_URL"] = (
                f"http://me:{quote(PLANT, safe='')}@127.0.0.1:{plant_port}"
            )
            proxy.fault = echo(CLUSTER)
            daemon = subprocess.Popen(  # noqa: ASYNC220  a process of its own, as in production
                [sys.executable, "-m", "poolwright", "run"],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                ends = {"plant": "done", "cluster": "refused", "gossip": "given_up"}
                await story.until(
                    lambda: all(story.ended().get(p, set()) >= {end} for p, end in ends.items()),
                    daemon,
                )
                look = await story.command("check", str(tmp_path / "rules"), "--live", "--json")
                explained = [
                    await story.command("explain", which, *json_too)
                    for which in (*ends, await decision_of(story, "cluster"))
                    for json_too in ((), ("--json",))
                ]
                await story.command("status")
                status = await story.command("status", "--json")
                await story.command("check", str(tmp_path / "rules"), "--live")
                await story.command("providers", "--json")
                # Everything refuses, and the plant is not there any more.
                proxy.fault = Fault(FaultKind.STATUS, status=500, body=echo(CLUSTER).body)
                await leave()
                await story.until(lambda: b"unreachable" in log_path.read_bytes(), daemon)
                for path in ("/metrics", "/status", "/healthz", "/readyz"):
                    await story.page(path)
                written.files("while it ran")
                daemon.terminate()
                assert daemon.wait(timeout=20) == 0, log_path.read_text()[-3000:]
            finally:
                daemon.kill()
                daemon.wait()
                log.close()
    receiver.stop()
    written.files("after its end")
    written.add("log", log_path.read_bytes())
    written.add("spans", repr([span.SerializeToString() for span in receiver.spans]))
    written.add("spans in words", str(receiver.spans))
    written.add("topics", await all_of(secure, topics))

    # The temptations were there: what is hidden now would be seen otherwise.
    assert b"***" in written.parts["log"]
    assert b"***" in written.parts["spans in words"]
    assert b"***" in written.parts["topics"]
    assert b"***" in written.parts["journal.db after its end"]
    assert "***" in look
    assert sum("***" in text for text in explained) >= 4
    assert "***" in status
    secrets = (KAFKA, PLANT, CLUSTER, GOSSIP, PAST, EXPORTER, AWS, SESSION)
    found = {secret: places for secret in secrets if (places := written.leaked(secret))}
    assert found == {}, json.dumps(found, indent=1)


def write_kubeconfig(path: Path, url: str) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": CLUSTER}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(json.dumps(config))


@contextlib.asynccontextmanager
async def plant(rules: Path) -> AsyncIterator[tuple[int, Callable[[], Awaitable[None]]]]:
    """A real plant with two replicas: its port, and a way to stop it before the block ends."""
    clock = SystemClock()
    made = Plant(PlantSpec("chat", (PoolSpec("plant", startup_s=0.5),)), seed=1)
    made.set_replicas("plant", 2, at=clock.now())
    service = rulefiles.load_sources({"chat.yaml": (rules / "chat.yaml").read_text()}).services[0]

    async def live() -> None:
        while True:
            made.advance(clock.now())
            await asyncio.sleep(0.05)

    living = asyncio.create_task(live())
    stack = contextlib.AsyncExitStack()
    url = await stack.enter_async_context(served(plant_app(made, service, clock)))
    try:
        yield int(url.rpartition(":")[2]), stack.aclose
    finally:
        living.cancel()
        await stack.aclose()


async def decision_of(story: Story, pool: str) -> str:
    """The id of a decision of the pool that had to be carried out."""
    path = Path(story.environment["POOLWRIGHT_DATA"]) / "journal.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal:
        asked = "select decision_id from actions where pool = ? and status = 'refused'"
        return str(journal.execute(asked, (pool,)).fetchone()[0])


async def all_of(server: KafkaServer, topics: list[str]) -> bytes:
    """Every message of the topics, with its headers."""
    found: list[bytes] = []
    async with AIOKafkaConsumer(
        *topics, bootstrap_servers=server.bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(part) < end for part, end in ends.items()]):
            batches = await consumer.getmany(timeout_ms=500)
            for messages in batches.values():
                for message in messages:
                    found += [message.value or b"", repr(message.headers).encode()]
    return b"\n".join(found)

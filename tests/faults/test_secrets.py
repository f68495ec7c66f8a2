"""No secret leaves the daemon: it decides, scales, fails and stops, and all it wrote is searched.

Each provider fails in ways that tempt it to show its credential, and the log is at DEBUG level.
"""

import asyncio
import base64
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from aiokafka import AIOKafkaConsumer
from testenv.fault_proxy import Fault, FaultKind, FaultProxy, fault_proxy
from testenv.kafka import KafkaServer, free_port
from tests.contract.fake_kubernetes import FakeKubernetes
from tests.contract.simulated_plant import served
from tests.faults import tempting
from tests.faults.secret_forms import leaks
from tests.faults.tempting import APIS, AWS, CLUSTER, GOSSIP, KAFKA, PLANT, SECRETS
from tests.integration.otlp_receivers import GrpcReceiver
from tests.integration.third_party import install

from poolwright import rulefiles
from poolwright.actuation.provider import CallError
from poolwright.actuation.registry import make_providers
from poolwright.settings import Settings

ROOT = Path(__file__).parents[2]
WITHIN_S = 60.0
ENDS = {
    "plant": "done",
    "gossip": "given_up",
    "command": "given_up",
    "cluster": "refused",
    **dict.fromkeys(APIS, "refused"),
}
"""By pool how an action of its has to have ended."""


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

    def leaked(self) -> dict[str, dict[str, list[str]]]:
        """By secret and by place what is around it."""
        found: dict[str, dict[str, list[str]]] = {}
        for secret in SECRETS:
            for where, part in self.parts.items():
                if places := leaks(part, secret):
                    found.setdefault(secret, {})[where] = places
        return found


@dataclass
class Story:
    """The daemon's process and what is around it."""

    folder: Path
    environment: dict[str, str]
    written: Written
    daemon: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def rules(self) -> str:
        return self.environment["POOLWRIGHT_RULES"]

    @property
    def journal(self) -> str:
        return f"file:{self.environment['POOLWRIGHT_DATA']}/journal.db?mode=ro"

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        with self.log.open("wb") as log:
            self.daemon = subprocess.Popen(
                [sys.executable, "-m", "poolwright", "run"],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                yield self.daemon
            finally:
                self.daemon.kill()
                self.daemon.wait()

    async def until(self, holds: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(WITHIN_S):
                while not holds():
                    assert self.daemon is not None
                    assert self.daemon.poll() is None, self.log.read_text()[-3000:]
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"only so far: {self.ended()}\n{self.log.read_text()[-3000:]}")

    async def command(self, *words: str) -> str:
        """What it wrote to its output; this and its errors are searched, too."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "poolwright", *words),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        self.written.add(" ".join(words), output)
        self.written.add(f"{' '.join(words)}, errors", errors)
        return output.decode()

    async def page(self, path: str) -> None:
        port = self.environment["POOLWRIGHT_HTTP_PORT"]
        async with httpx2.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{port}{path}", timeout=5.0)
        self.written.add(path, answer.content)

    def ended(self) -> set[tuple[str, str]]:
        """Pools with how their actions have ended so far."""
        with (
            contextlib.suppress(sqlite3.OperationalError),  # not yet made
            contextlib.closing(sqlite3.connect(self.journal, uri=True)) as journal,
        ):
            return set(journal.execute("select pool, status from actions"))
        return set()

    def decision(self, pool: str) -> str:
        """The id of the first decision of the pool that was carried out, or was to be."""
        with contextlib.closing(sqlite3.connect(self.journal, uri=True)) as journal:
            asked = "select decision_id from actions where pool = ? and status = ? order by n"
            return str(journal.execute(asked, (pool, ENDS[pool])).fetchone()[0])


def test_the_search_finds_what_it_is_to_find() -> None:
    for text in (
        f"the {CLUSTER}!",
        quote(CLUSTER, safe=""),
        json.dumps([GOSSIP]),
        repr({"a": GOSSIP}),
        *(base64.b64encode(f"{'u' * n}:{CLUSTER}".encode()).decode() for n in range(3)),
        base64.encodebytes(f"me:{AWS * 3}".encode()).decode(),
    ):
        assert any(leaks(text.encode(), secret) for secret in SECRETS), text
    assert leaks(b"the cluster has a token", CLUSTER) == []


@pytest.fixture(scope="module")
def secure(kafka, tmp_path_factory) -> Iterator[KafkaServer]:
    folder = tmp_path_factory.mktemp("secure")
    with KafkaServer(folder, scram_user=("poolwright", KAFKA)) as server:
        yield server


@pytest.fixture
def story(tmp_path, secure) -> Story:
    site = install(
        *(tmp_path / "site", "gossip", tempting.GOSSIPER),
        provider="GossipProvider",
        target="GossipTarget",
    )
    topic = f"secrets-{os.getpid()}"
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("POOLWRIGHT_", "AZURE_"))},
        **tempting.variables(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "daemon"), str(site)]),
        "COLUMNS": "4000",
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
        "POOLWRIGHT_KAFKA__CA_FILE": str(secure.ca_file),
        "POOLWRIGHT_KAFKA__TOPICS": json.dumps([topic]),
        "POOLWRIGHT_KAFKA__GROUP": topic,
        "POOLWRIGHT_KAFKA__DECISIONS_TOPIC": f"{topic}-decisions",
        "POOLWRIGHT_KAFKA__DEAD_LETTER_TOPIC": f"{topic}-dead",
    }
    return Story(tmp_path, environment, Written(tmp_path / "data"))


@contextlib.asynccontextmanager
async def around(story: Story):
    """The APIs of all providers: a way to have the cluster's refuse, and one to end the plant's."""
    cluster = FakeKubernetes()
    async with served(tempting.echoing()) as cloud, cluster.serving() as url:
        rules = tempting.write_rules(story.folder, cloud)
        host, _, port = url.removeprefix("http://").partition(":")
        async with tempting.plant(rules) as (plant_port, leave):
            plant = f"http://me:{quote(PLANT, safe='')}@127.0.0.1:{plant_port}"
            story.environment["POOLWRIGHT_SIMULATED_URL"] = plant
            story.environment["AWS_ENDPOINT_URL"] = cloud
            story.environment["IDENTITY_ENDPOINT"] = f"{cloud}/machine"
            async with fault_proxy(host, int(port)) as proxy:
                tempting.write_kubeconfig(story.folder / "kubeconfig", proxy.url)
                yield proxy, leave


@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_no_secret_is_in_anything_that_the_daemon_writes(story, secure) -> None:
    written = story.written
    topic = story.environment["POOLWRIGHT_KAFKA__GROUP"]
    topics = [f"{topic}-decisions", f"{topic}-dead"]
    await secure.create_topics(topic, *topics)
    receiver = GrpcReceiver()
    receiver.start()
    story.environment["POOLWRIGHT_TRACING__OTLP_ENDPOINT"] = f"http://127.0.0.1:{receiver.port}"
    proxy: FaultProxy
    async with around(story) as (proxy, leave):
        proxy.fault = tempting.echo(CLUSTER)
        with story.running() as daemon:
            await story.until(lambda: story.ended() >= set(ENDS.items()))
            look = await story.command("check", story.rules, "--live", "--json")
            for which in (*ENDS, *map(story.decision, ENDS)):
                await story.command("explain", which)
                await story.command("explain", which, "--json")
            await story.command("status")
            status = await story.command("status", "--json")
            await story.command("check", story.rules, "--live")
            await story.command("providers", "--json")
            # Everything refuses, and the plant is not there any more.
            body = tempting.echo(CLUSTER).body
            proxy.fault = Fault(FaultKind.STATUS, status=500, body=body)
            await leave()
            await story.until(lambda: b"plant cannot be read (unreach" in story.log.read_bytes())
            for path in ("/metrics", "/status", "/healthz", "/readyz"):
                await story.page(path)
            written.files("while it ran")
            daemon.terminate()
            assert daemon.wait(timeout=20) == 0, story.log.read_text()[-3000:]
    receiver.stop()
    written.files("after its end")
    written.add("log", story.log.read_bytes())
    written.add("spans", b"\n".join(span.SerializeToString() for span in receiver.spans))
    written.add("spans in words", str(receiver.spans))
    written.add("topics", await all_of(secure, topics))

    # The temptations were there: without hiding, it would be them that are found.
    for where in ("log", "spans", "topics", "journal.db after its end"):
        assert b"***" in written.parts[where], where
    assert "***" in status
    for pool in ENDS.keys() - {"plant"}:
        assert "***" in written.parts[f"explain {story.decision(pool)}"].decode(), pool
    leaked = written.leaked()
    assert leaked == {}, json.dumps(leaked, indent=1)
    shown = {pool["pool"]: json.dumps(pool) for pool in json.loads(look)["pools"]}
    bare = {pool: text for pool, text in shown.items() if "***" not in text}
    assert bare.keys() <= {"plant", "cluster"}, bare


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


@pytest.mark.timeout(60)
async def test_no_secret_is_in_what_an_object_says_of_itself(tmp_path, monkeypatch) -> None:
    """As a debugger, an assertion or a crash report would show it."""
    environment = tempting.variables(tmp_path)
    story = Story(tmp_path, environment, Written(tmp_path / "data"))
    async with around(story):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings = Settings(rules=tmp_path / "rules")
        rules = rulefiles.load(settings.rules)
        pools = [pool for service in rules.services for pool in service.pools]
        made = make_providers([pool for pool in pools if pool.provider != "gossip"], settings)
        for provider in made.values():
            with contextlib.suppress(CallError):
                await provider.read()
        seen = {repr(thing) for thing in reached([settings, rules, *made.values()])}
        for provider in made.values():
            await provider.close()
    assert any("HttpProvider" in text for text in seen)
    story.written.add("reprs", "\n".join(sorted(seen)))
    assert story.written.leaked() == {}


def reached(roots: Iterable[object]) -> Iterator[object]:
    """Everything of this project that hangs on these."""
    waiting, known = list(roots), set[int]()
    while waiting:
        thing = waiting.pop()
        if id(thing) in known:
            continue
        known.add(id(thing))
        if type(thing).__module__.startswith("poolwright"):
            yield thing
            waiting += [getattr(thing, name, None) for name in attributes(type(thing))]
            waiting += getattr(thing, "__dict__", {}).values()
        elif isinstance(thing, Mapping):
            waiting += thing.values()
        elif isinstance(thing, (list, tuple, set, frozenset)):
            waiting += thing


def attributes(kind: type) -> Iterator[str]:
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        yield from (slots,) if isinstance(slots, str) else slots

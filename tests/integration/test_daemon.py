"""The daemon as a process: systemd's notifications, reloads, health, dead letters, decisions."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from testenv.kafka import free_port

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules" / "coding-assistant.yaml"


class Notifications:
    """A fake NOTIFY_SOCKET: what systemd would be told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.lines: list[str] = []

    def read(self) -> list[str]:
        while True:
            try:
                self.lines += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.lines

    async def until(self, text: str, *, count: int = 1, within_s: float = 20.0) -> None:
        deadline = time.monotonic() + within_s
        while sum(line.startswith(text) for line in self.read()) < count:
            assert time.monotonic() < deadline, f"no {text!r} among {self.lines}"
            await asyncio.sleep(0.02)

    def close(self) -> None:
        self._socket.close()


async def get(port: int, path: str, wanted: int = 200) -> str:
    deadline = time.monotonic() + 15
    async with httpx2.AsyncClient() as client:
        while True:
            answer = await client.get(f"http://127.0.0.1:{port}{path}", timeout=5.0)
            if answer.status_code == wanted:
                return answer.text
            assert time.monotonic() < deadline, answer.text
            await asyncio.sleep(0.05)


@pytest.mark.kafka
async def test_the_daemon_tells_systemd_reloads_and_refuses(  # noqa: PLR0915  one story
    kafka, tmp_path
) -> None:
    topic = f"daemon-{os.getpid()}"
    await kafka.create_topics(topic, f"{topic}-decisions", f"{topic}-dead")
    rules = tmp_path / "rules"
    rules.mkdir()
    file = rules / "coding-assistant.yaml"
    good = RULES.read_text()
    file.write_text(good)
    port = free_port()
    told = Notifications(tmp_path / "notify")
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("POOLWRIGHT_")},
        "PYTHONPATH": str(ROOT / "daemon"),
        "NOTIFY_SOCKET": str(told.path),
        "WATCHDOG_USEC": "600000",
        "POOLWRIGHT_RULES": str(rules),
        "POOLWRIGHT_DATA": str(tmp_path / "data"),
        "POOLWRIGHT_HTTP_PORT": str(port),
        "POOLWRIGHT_KAFKA__BOOTSTRAP": kafka.bootstrap,
        "POOLWRIGHT_KAFKA__TOPICS": json.dumps([topic]),
        "POOLWRIGHT_KAFKA__GROUP": topic,
        "POOLWRIGHT_KAFKA__DECISIONS_TOPIC": f"{topic}-decisions",
        "POOLWRIGHT_KAFKA__DEAD_LETTER_TOPIC": f"{topic}-dead",
        "POOLWRIGHT_SIMULATED_URL": f"http://127.0.0.1:{free_port()}",
        "POOLWRIGHT_TICK_INTERVAL_S": "0.1",
        "POOLWRIGHT_HISTORY__PROMETHEUS_URL": f"http://127.0.0.1:{free_port()}",
    }
    log = (tmp_path / "log").open("wb")
    daemon = subprocess.Popen(  # noqa: ASYNC220  its signals are what is tested
        [sys.executable, "-m", "poolwright", "run"],
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        await told.until("READY=1")
        await told.until("WATCHDOG=1", count=2)
        await get(port, "/healthz")
        await get(port, "/readyz")
        metrics = await get(port, "/metrics")
        assert "poolwright_rules_info{revision=" in metrics
        # Nobody listens at the simulated plant's address: the calls fail, and are seen to.
        assert 'poolwright_provider_call_seconds_count{error="unreachable",operation="read"}' in (
            metrics
        )

        daemon.send_signal(signal.SIGHUP)
        await told.until("RELOADING=1")
        await told.until("MONOTONIC_USEC=")
        await told.until("READY=1", count=2)

        file.write_text(good.replace("min: 2", "min: 99"))
        await told.until("STATUS=rules refused")
        status = json.loads(await get(port, "/status"))
        assert "coding-assistant.yaml:" in status["reload_error"]
        assert "poolwright_rules_reload_failed 1.0" in await get(port, "/metrics")
        file.write_text(good.replace("{simulated: {pool: code-wse}}", "{nowhere: {pool: x}}"))
        await told.until("STATUS=rules refused", count=2)
        status = json.loads(await get(port, "/status"))
        assert "coding-assistant.yaml:15:16: unknown provider `nowhere`" in status["reload_error"]
        file.write_text(good.replace("max: 24", "max: 25"))
        deadline = time.monotonic() + 15
        while json.loads(await get(port, "/status"))["reload_error"] is not None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)

        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
            await producer.send_and_wait(topic, b"not JSON", key=b"coding-assistant")
        letter = await first(kafka.bootstrap, f"{topic}-dead")
        headers = dict(letter.headers)
        assert letter.value == b"not JSON"
        assert (headers["reason"], headers["topic"]) == (b"undecodable", topic.encode())
        event = await first(kafka.bootstrap, f"{topic}-decisions")
        headers = dict(event.headers)
        assert headers["ce_type"] == b"dev.poolwright.decision.v1"
        assert json.loads(event.value)["id"] == headers["ce_id"].decode()
        assert json.loads(event.value)["reason"] == "unknown_pool"

        daemon.terminate()
        await told.until("STOPPING=1")
        assert daemon.wait(timeout=20) == 0, (tmp_path / "log").read_text()[-2000:]
        # Nobody listens there either: the daemon has lived on without its past.
        missed = "past demand of coding-assistant cannot be read from Prometheus"
        assert missed in (tmp_path / "log").read_text()
    finally:
        daemon.kill()
        daemon.wait()
        log.close()
        told.close()


async def first(bootstrap: str, topic: str):
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        return await asyncio.wait_for(consumer.getone(), 15)

"""`poolwright demo`: a bursty hour in a minute, on one machine, without Docker or Java.

The broker is librdkafka's mock cluster inside this process; the load player with its simulated
pools and the daemon are processes of their own, as in production. Everything is real but the
broker and the replicas.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from poolwright.errors import SettingsError
from poolwright.record.journal import Journal

HTTP_TIMEOUT_S = 2.0
PLAYED_S = 3720.0
"""Event time of the hour and its last requests."""
TOPIC = "inference-telemetry"


def run_demo(out: Console, *, seconds: float, speed: float) -> int:
    """Plays the hour, draws it live, prints the summary; the exit code."""
    rules = find_rules()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="poolwright-demo-")))
        data = Path("var") / "demo"
        data.mkdir(parents=True, exist_ok=True)
        for old in data.glob("journal.db*"):
            old.unlink()
        bootstrap = stack.enter_context(embedded_broker())
        plant_port, http_port = _free_port(), _free_port()
        now = time.time()  # noqa: TID251  both processes share it
        # The played hour ends about now, so that `explain` tells ages that make sense.
        begin = now - PLAYED_S * (1.0 - 1.0 / speed)
        environment = {
            **os.environ,
            "POOLWRIGHT_RULES": str(rules),
            "POOLWRIGHT_DATA": str(data),
            "POOLWRIGHT_HTTP_PORT": str(http_port),
            "POOLWRIGHT_SIMULATED_URL": f"http://127.0.0.1:{plant_port}",
            "POOLWRIGHT_KAFKA__BOOTSTRAP": bootstrap,
            "POOLWRIGHT_KAFKA__TOPICS": json.dumps([TOPIC]),
            "POOLWRIGHT_CLOCK__SPEED": str(speed),
            "POOLWRIGHT_CLOCK__ORIGIN_WALL_S": str(now),
            "POOLWRIGHT_CLOCK__ORIGIN_EVENT_S": str(begin),
        }
        summary_file = folder / "summary.json"
        plant = stack.enter_context(
            _process(
                [
                    "-m",
                    "poolwright.runtime.plant_server",
                    "--rules",
                    str(rules),
                    *_plant_of(rules),
                    "--coding-hour",
                    "--port",
                    str(plant_port),
                    "--summary",
                    str(summary_file),
                ],
                environment,
                folder / "plant.log",
            )
        )
        daemon = stack.enter_context(
            _process(["-m", "poolwright", "run"], environment, folder / "daemon.log")
        )
        deadline = time.monotonic() + seconds  # noqa: TID251  real time: the demo must end
        try:
            _watch(out, (plant, daemon), _Screen(http_port, data / "journal.db", begin), deadline)
        except KeyboardInterrupt:
            out.print("stopped")
            return 130
        if daemon.poll() is not None:
            out.print((folder / "daemon.log").read_text()[-3000:], markup=False)
            out.print("[red]the daemon ended before the demo did[/red]")
            return 3
        body = _get(f"http://127.0.0.1:{plant_port}/summary")
        if body is None and summary_file.exists():
            body = json.loads(summary_file.read_text())
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=15)
        _summarise(out, body, data / "journal.db")
    return 0


def find_rules() -> Path:
    """The example rule file, from the checkout that holds this package or the working folder."""
    for base in (Path.cwd(), Path(__file__).resolve().parents[3]):
        rules = base / "rules" / "coding-assistant.yaml"
        if rules.exists():
            return rules
    msg = "rules/coding-assistant.yaml is not here: run the demo in a checkout of the project"
    raise SettingsError(msg)


def _plant_of(rules: Path) -> list[str]:
    """The plant file beside the rules, where there is one: it has the faults of the hour."""
    plant = rules.parent / "plants" / rules.name
    return ["--plant", str(plant)] if plant.exists() else []


@contextlib.contextmanager
def embedded_broker() -> Iterator[str]:
    """Librdkafka's mock cluster; gives the bootstrap address."""
    try:
        from confluent_kafka import Producer  # noqa: PLC0415  an extra
    except ImportError as error:
        msg = "the demo needs the extra: pip install 'poolwright[demo]'"
        raise SettingsError(msg) from error
    producer = Producer(
        {"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "log_level": 0}
    )
    broker = next(iter(producer.list_topics(timeout=10).brokers.values()))
    yield f"{broker.host}:{broker.port}"
    del producer


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _process(
    arguments: list[str], environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603  our own modules
            [sys.executable, *arguments],
            env=environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _get(url: str) -> dict[str, Any] | None:
    try:
        answer = httpx2.get(url, timeout=HTTP_TIMEOUT_S)
        return dict(answer.raise_for_status().json())
    except (httpx2.HTTPError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class _Screen:
    """Where the live picture comes from; `begin` is the event time at which the hour starts."""

    http_port: int
    journal: Path
    begin: float

    def draw(self) -> Group:
        status = _get(f"http://127.0.0.1:{self.http_port}/status")
        if status is None:
            return Group(Text("the daemon starts …"))
        minute = (status["at"] - self.begin) / 60
        table = Table("pool", "role", "ready", "starting", "told", "last", "why", title="pools")
        for pool in status["pools"]:
            counts = (str(pool[key]) for key in ("ready", "starting", "desired"))
            table.add_row(
                pool["pool"], pool["role"], *counts, str(pool["outcome"]), str(pool["reason"])
            )
        lines = [Text(line) for line in self._recent(8)]
        return Group(Text(f"minute {minute:.0f} of the hour"), table, *lines)

    def _recent(self, count: int) -> list[str]:
        lines = []
        reader = Journal(self.journal, read_only=True)
        try:
            for stored in reader.decisions(limit=200):
                d = stored.decision
                if d.acts:
                    change = f"{d.pool}: {d.current} to {d.desired}"
                    lines.append(f"{(d.at - self.begin) / 60:5.1f} min  {change}  {d.id[:8]}")
        finally:
            reader.close()
        return lines[-count:]


def _watch(
    out: Console,
    processes: tuple[subprocess.Popen[bytes], ...],
    screen: _Screen,
    deadline: float,
) -> None:
    with Live(console=out, refresh_per_second=4, transient=out.is_terminal) as live:
        while time.monotonic() < deadline:  # noqa: TID251  real time: the demo must end
            if any(process.poll() is not None for process in processes):
                return
            if out.is_terminal:
                live.update(screen.draw())
            time.sleep(0.5)


def _figures(body: dict[str, Any]) -> list[tuple[str, str]]:
    """The plant's summary in words and units."""
    latency = body["latency"]
    rows = [("requests", f"{body['requests']:,} ({body['ended']:,} ended)")]
    rows += [(f"SLO attainment, {name}", f"{v:.2%}") for name, v in body["attainment"].items()]
    for key, name in (("ttft", "time to first token"), ("itl", "time between tokens")):
        if f"{key}_p50_s" in latency:
            p50, p99 = (latency[f"{key}_p{percent}_s"] * 1e3 for percent in (50, 99))
            rows.append((name, f"p50 {p50:,.0f} ms, p99 {p99:,.0f} ms"))
    for pool, usd in body["cost_usd"].items():
        hours = body["replica_seconds"][pool] / 3600
        rows.append((f"cost of {pool}", f"{usd:,.2f} USD for {hours:.1f} replica-hours"))
    return rows


def _summarise(out: Console, body: dict[str, Any] | None, journal: Path) -> None:
    table = Table("the hour", "", title="summary")
    for name, shown in _figures(body) if body else ():
        table.add_row(name, shown)
    reader = Journal(journal, read_only=True)
    try:
        acts = [s.decision for s in reader.decisions() if s.decision.acts]
    finally:
        reader.close()
    table.add_row("scale actions", str(len(acts)))
    out.print(table)
    if acts:
        biggest = max(acts, key=lambda d: abs(d.desired - d.current))
        out.print(
            f"Why did {biggest.pool} go from {biggest.current} to {biggest.desired}?\n"
            f"  POOLWRIGHT_DATA=var/demo .venv/bin/poolwright explain {biggest.id[:12]}",
            highlight=False,
        )

"""The main job on real input: the Azure code trace through the real Kafka at 60x real time.

The daemon is a process of its own on the example rules, with simulated pools behind the plant
server. Half-way it is killed with -9 and started again.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from testenv.kafka import free_port
from tests.integration.otlp_receivers import GrpcReceiver

from poolwright import rulefiles
from poolwright.decision import decide_again
from poolwright.record.journal import Journal
from poolwright.runtime.replay import decision_lines, replay
from poolwright.runtime.traces import open_trace
from poolwright.simulation.spec import plant_for

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules" / "coding-assistant.yaml"
TRACES = Path(os.environ.get("POOLWRIGHT_TRACES", ROOT.parent / "shared" / "data"))
SPEED = 60.0
ORIGIN_EVENT_S = 1_700_000_000.0
LONGEST_S = 110.0
_CLI = (sys.executable, "-m", "poolwright")


@pytest.fixture
def trace() -> Path:
    path = TRACES / "azure2023_code.csv.gz"
    if not path.exists():
        reason = f"no trace at {path}: set POOLWRIGHT_TRACES to the folder of azure2023_code.csv.gz"
        pytest.skip(reason)
    return path


def wait_for(url: str, deadline: float) -> dict:
    while time.monotonic() < deadline:
        try:
            return httpx2.get(url, timeout=2.0).raise_for_status().json()
        except (httpx2.HTTPError, ValueError):
            time.sleep(0.05)
    pytest.fail(f"{url} did not answer")


@pytest.mark.kafka
@pytest.mark.traces
@pytest.mark.timeout(240)
async def test_the_azure_trace_through_kafka_with_a_kill_half_way(  # noqa: PLR0915  one story
    kafka, trace, tmp_path, capsys
) -> None:
    topic = f"main-job-{os.getpid()}"
    await kafka.create_topics(topic, f"{topic}-decisions", f"{topic}-dead", partitions=2)
    plant_port, http_port = free_port(), free_port()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("POOLWRIGHT_")},
        "PYTHONPATH": str(ROOT / "daemon"),
        "POOLWRIGHT_RULES": str(RULES),
        "POOLWRIGHT_DATA": str(tmp_path),
        "POOLWRIGHT_HTTP_PORT": str(http_port),
        "POOLWRIGHT_SIMULATED_URL": f"http://127.0.0.1:{plant_port}",
        "POOLWRIGHT_KAFKA__BOOTSTRAP": kafka.bootstrap,
        "POOLWRIGHT_KAFKA__TOPICS": json.dumps([topic]),
        "POOLWRIGHT_KAFKA__GROUP": topic,
        "POOLWRIGHT_KAFKA__DECISIONS_TOPIC": f"{topic}-decisions",
        "POOLWRIGHT_KAFKA__DEAD_LETTER_TOPIC": f"{topic}-dead",
        "POOLWRIGHT_CLOCK__SPEED": str(SPEED),
        "POOLWRIGHT_CLOCK__ORIGIN_WALL_S": str(time.time()),
        "POOLWRIGHT_CLOCK__ORIGIN_EVENT_S": str(ORIGIN_EVENT_S),
    }
    receiver = GrpcReceiver()
    receiver.start()
    environment["POOLWRIGHT_TRACING__OTLP_ENDPOINT"] = f"http://127.0.0.1:{receiver.port}"
    summary_file = tmp_path / "summary.json"
    log = (tmp_path / "log").open("wb")

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *arguments], env=environment, stdout=log, stderr=subprocess.STDOUT
        )

    plant = start(
        *("-m", "poolwright.runtime.plant_server", "--rules", str(RULES), "--trace", str(trace)),
        *("--port", str(plant_port), "--summary", str(summary_file), "--compression", "lz4"),
    )
    daemon = start("-m", "poolwright", "run")
    status_url = f"http://127.0.0.1:{http_port}/status"
    try:
        started = time.monotonic()
        first = wait_for(status_url, started + 20)
        assert [pool["pool"] for pool in first["pools"]] == ["code-h100", "code-wse"]
        half = started + 28
        while time.monotonic() < half:
            assert daemon.poll() is None, (tmp_path / "log").read_text()[-3000:]
            await asyncio.sleep(0.2)
        daemon.kill()
        daemon.wait()
        before = len(_decisions(tmp_path))
        daemon = start("-m", "poolwright", "run")
        while plant.poll() is None and time.monotonic() < started + LONGEST_S:
            assert daemon.poll() is None, (tmp_path / "log").read_text()[-3000:]
            await asyncio.sleep(0.2)
        status = wait_for(status_url, time.monotonic() + 5) if plant.poll() is None else {}
        daemon.terminate()
        assert daemon.wait(timeout=20) == 0, (tmp_path / "log").read_text()[-3000:]
    finally:
        for process in (plant, daemon):
            process.kill()
            process.wait()
        log.close()
    assert plant.returncode == 0, (tmp_path / "log").read_text()[-3000:]
    assert not status

    decisions = _decisions(tmp_path)
    acts = [d for d in decisions if d.acts]
    summary = json.loads(summary_file.read_text())
    with capsys.disabled():
        print(  # noqa: T201  the figures of the run
            f"\nmain job: {summary['requests']} requests, attainment {summary['attainment']},"
            f" cost {summary['cost_usd']} USD, {len(acts)} scale actions,"
            f" {len(decisions)} decisions ({before} before the kill)"
        )
    assert summary["ended"] == summary["requests"] == 8819
    assert {d.outcome for d in acts} == {"scale_up", "scale_down"}
    assert 0 < before < len(decisions)
    assert all(2 <= d.desired <= 24 for d in acts if d.pool == "code-h100")

    journal = Journal(tmp_path / "journal.db", read_only=True)
    rules = rulefiles.load_sources(journal.rules(decisions[0].rules_revision))
    assert [decide_again(rules.services[0], d) for d in decisions] == decisions
    # Only the last batch before the kill may be missing; the journal rebuilds it.
    missing = {d.id for d in decisions} - _roots(receiver).keys()
    assert len(missing) <= before
    rebuilding = await asyncio.create_subprocess_exec(*_CLI, "traces", "rebuild", env=environment)
    assert await rebuilding.wait() == 0
    receiver.stop()
    roots = _roots(receiver)
    assert roots.keys() == {d.id for d in decisions}
    for decision in decisions:
        spans = [span for span in receiver.spans if span.trace_id.hex() == decision.id]
        names = {span.name for span in spans}
        linked = {(link.trace_id.hex(), link.span_id.hex()) for link in roots[decision.id].links}
        assert linked == {(c.trace_id, c.span_id) for c in decision.inputs.contexts}
        assert "poolwright.limits" in names
        triggers = {span.span_id for span in spans if span.name == "poolwright.trigger"}
        assert len(triggers) == len(decision.proposals)
        if decision.acts:
            assert {"provider.scale"} <= names
    assert any(root.links for root in roots.values())
    ended = [d for d in acts if journal.actions(d.id)[-1].report.status.value != "started"]
    assert ended == acts
    journal.close()


def _roots(receiver: GrpcReceiver) -> dict[str, Any]:
    return {span.trace_id.hex(): span for span in receiver.spans if not span.parent_span_id}


def _decisions(folder: Path):
    journal = Journal(folder / "journal.db", read_only=True)
    try:
        return [stored.decision for stored in journal.decisions()]
    finally:
        journal.close()


@pytest.mark.traces
def test_replaying_the_azure_trace_twice_gives_the_same_bytes(trace) -> None:
    rules = rulefiles.load(RULES)
    service = rules.services[0]
    workload = open_trace(trace)
    runs = [replay(rules, service, workload, plant_for(service), seed=1) for _ in range(2)]
    assert runs[0].requests == 8819
    assert runs[0].actions > 0
    assert decision_lines(runs[0].decisions) == decision_lines(runs[1].decisions)

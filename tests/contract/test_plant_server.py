"""The plant server as a process: `--plant` with its faults over HTTP, telemetry to a broker."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from testenv.kafka import free_port

from poolwright.runtime.demo import embedded_broker

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules" / "coding-assistant.yaml"
PLANT = """\
apiVersion: poolwright/v1
plant: coding-assistant
pools:
  - name: code-h100
    startup: 5s
    startup_jitter: 0%
    stock: 3
    faults:
      - {kind: api_unreachable, at: 0s, lasts: 60s}
      - {kind: replica_dies, at: 90s}
"""
SPEED = 60.0


def ask(method: str, url: str, body: object = None) -> httpx2.Response | None:
    try:
        return httpx2.request(method, url, json=body, timeout=2.0)
    except httpx2.HTTPError:
        return None


def wait_for(process: subprocess.Popen, url: str, status: int) -> httpx2.Response:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        answer = ask("GET", url)
        if answer is not None and answer.status_code == status:
            return answer
        time.sleep(0.02)
    pytest.fail(f"{url} never answered {status}; the plant server ended with {process.poll()}")


def test_the_plant_file_acts_through_the_plant_server(tmp_path):
    plant, trace, summary = (tmp_path / name for name in ("plant.yaml", "t.csv", "summary.json"))
    plant.write_text(PLANT)
    rows = "".join(f"{i},500,20,completion\n" for i in range(240))
    trace.write_text(f"arrival_s,prompt_tokens,output_tokens,class\n{rows}")
    port = free_port()
    with embedded_broker() as bootstrap:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "daemon"),
            "POOLWRIGHT_KAFKA__BOOTSTRAP": bootstrap,
            "POOLWRIGHT_KAFKA__TOPICS": json.dumps(["telemetry"]),
            "POOLWRIGHT_CLOCK__SPEED": str(SPEED),
            "POOLWRIGHT_CLOCK__ORIGIN_WALL_S": str(time.time()),
            "POOLWRIGHT_CLOCK__ORIGIN_EVENT_S": "1700000000",
        }
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "poolwright.runtime.plant_server"),
                *("--rules", str(RULES), "--plant", str(plant), "--trace", str(trace)),
                *("--port", str(port), "--summary", str(summary)),
            ],
            env=environment,
        )
        try:
            url = f"http://127.0.0.1:{port}/pools/code-h100"
            wait_for(process, url, 503)
            wait_for(process, url, 200)
            answer = ask("PUT", f"{url}/replicas", {"replicas": 5})
            assert answer is not None
            assert (answer.status_code, answer.json()["granted"]) == (409, 3)
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
            process.wait()
    found = json.loads(summary.read_text())
    assert (found["requests"], found["ended"], found["overdue"]) == (240, 240, 0)
    assert found["attainment"]["completion"] > 0.5
    # Two for ten minutes before the trace, then no more than the stock at any time.
    assert 1200 < found["replica_seconds"]["code-h100"] < 1200 + 3 * 600

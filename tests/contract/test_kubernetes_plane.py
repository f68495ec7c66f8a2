"""The control plane of the tests: nothing of it is left behind, and who lacks it is told."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from testenv.kubernetes import build
from testenv.kubernetes.control_plane import NotBuilt, running
from tests.contract.real_kubernetes import control_plane

ROOT = Path(__file__).parents[2]
STARTED = """
import sys
from testenv.kubernetes.control_plane import running
plane = running()
print(plane.data, *(process.pid for process in plane._processes.values()), flush=True)
sys.stdin.read()
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def left_over(pids: list[int], within_s: float) -> list[int]:
    end = time.monotonic() + within_s
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < end:
        time.sleep(0.05)
    return left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_the_run_is_interrupted(number):
    control_plane()  # skips where there is none
    one = subprocess.Popen(
        [sys.executable, "-c", STARTED],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    data, *numbers = one.stdout.readline().split()
    pids = [int(pid) for pid in numbers]
    assert len(pids) == 4
    assert all(map(alive, pids))
    os.kill(one.pid, number)
    one.wait()
    one.stdin.close()
    one.stdout.close()
    assert left_over(pids, within_s=10) == []
    assert Path(data).exists() == (number == signal.SIGKILL), "that end alone cannot tidy up"
    shutil.rmtree(data, ignore_errors=True)


def test_who_lacks_it_is_told_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(NotBuilt, match="`make test-kubernetes` builds it") as caught:
        running.__wrapped__()
    assert "kube-apiserver" in str(caught.value)


def test_who_cannot_build_it_is_told_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build, "GO", str(tmp_path / "go"))
    with pytest.raises(build.BuildError, match="install Go"):
        build.build()
    (tmp_path / "poolwright" / f"kubernetes-{build.version()}").mkdir(exist_ok=True)
    for name in build.BUILT:
        (build.folder() / name).touch()
    with pytest.raises(build.BuildError, match="install etcd"):
        build.build()

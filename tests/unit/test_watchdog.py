"""The watchdog is told of ticks, not of an event loop that merely turns."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from poolwright.clock import VirtualClock
from poolwright.runtime.daemon import Daemon
from poolwright.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "20000")
        yield listener


async def watchdogs(daemon: Daemon, told: socket.socket) -> int:
    """How often systemd is told within a few of its intervals."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(daemon._watchdog_loop(), 0.1)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while told.recv(4096) == b"WATCHDOG=1":
            count += 1
    return count


async def test_ticks_that_have_stopped_are_not_covered_up(tmp_path: Path, told) -> None:
    rules = ROOT / "rules" / "coding-assistant.yaml"
    clock = VirtualClock(1000.0)
    daemon = Daemon(Settings(rules=rules, data=tmp_path / "data"), clock)
    try:
        assert await watchdogs(daemon, told) > 1  # starting up
        daemon._last_tick_at = clock.now()
        assert await watchdogs(daemon, told) > 1
        clock.advance_to(clock.now() + 3600)
        assert await watchdogs(daemon, told) == 0
    finally:
        daemon.tracing.close()
        daemon.recorder.close()
        daemon.journal.close()

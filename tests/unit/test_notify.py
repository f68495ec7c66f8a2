import socket

import pytest

from poolwright.runtime import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_messages_reach_systemd(abstract, tmp_path, monkeypatch):
    path = f"poolwright-{tmp_path.name}-{tmp_path.parent.name}" if abstract else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("\0" + path if abstract else path)
        server.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + path if abstract else path)
        for call, start in (
            (notify.ready, b"READY=1"),
            (notify.reloading, b"RELOADING=1\nMONOTONIC_USEC="),
            (notify.watchdog, b"WATCHDOG=1"),
            (notify.stopping, b"STOPPING=1"),
            (lambda: notify.status("a\nb"), b"STATUS=a b"),
        ):
            assert call()
            assert server.recv(200).startswith(start)


def test_without_systemd_nothing_happens(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify.ready()
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    assert not notify.ready()


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [("20000000", None, 10.0), ("x", None, None), ("20000000", "1", None), ("0", None, None)],
)
def test_the_watchdog_interval_is_half_of_the_limit(usec, pid, expected, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    assert notify.watchdog_interval_s() == expected

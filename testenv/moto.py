"""The real moto server: the AWS APIs with their state in memory, as a process of its own.

``python -m testenv.moto`` runs one in the foreground.
"""

import contextlib
import http.client
import subprocess
import sys
import time
from collections.abc import Iterator

from testenv.ports import HOST, free_port

START_TIMEOUT_S = 60.0


class MotoServerError(RuntimeError):
    """The server could not be started."""


def _command(port: int) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", HOST, "-p", str(port)]


@contextlib.contextmanager
def moto_server() -> Iterator[int]:
    """The port of a server that answers; it is stopped when the block ends."""
    port = free_port()
    process = subprocess.Popen(
        _command(port),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(process, port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise MotoServerError(f"moto ended with {process.returncode}: run {_command(port)}")
        if _answers(port):
            return
        time.sleep(0.05)
    raise MotoServerError(f"moto gave no answer in {START_TIMEOUT_S:g} s")


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5.0)
    try:
        connection.request("GET", "/moto-api/")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def main() -> None:
    with moto_server() as port, contextlib.suppress(KeyboardInterrupt):
        print(f"moto answers on http://{HOST}:{port}", flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()

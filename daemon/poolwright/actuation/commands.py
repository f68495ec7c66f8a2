"""A command run once: its input, its bounded output, and nothing left of it, however it ends.

It leads a process group of its own, which is killed when its time is up, when its caller is
cancelled, and when it ends and leaves others behind.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

LARGEST: Final = 1024 * 1024
"""Bytes of output; a command that writes more is killed."""
KEPT: Final = 4096
"""Bytes of its messages (stderr) that are kept, the last ones."""


class FloodError(Exception):
    """It wrote more than `LARGEST`."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: `code` is negative where a signal killed it."""

    code: int
    output: bytes
    said: str
    """The last line that it wrote to stderr."""


class _Watched(asyncio.SubprocessProtocol):
    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.output = bytearray()
        self.messages = bytearray()
        self.ended: asyncio.Future[None] = loop.create_future()
        """It has exited and its pipes are closed, or it floods."""
        self.exited = asyncio.Event()
        self._pipes = {1, 2}

    @override
    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.messages += data
            del self.messages[:-KEPT]
        elif len(self.output) + len(data) <= LARGEST:
            self.output += data
        elif not self.ended.done():
            self.ended.set_exception(FloodError())

    @override
    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._pipes.discard(fd)
        self._may_have_ended()

    @override
    def process_exited(self) -> None:
        self.exited.set()
        self._may_have_ended()

    def _may_have_ended(self) -> None:
        if self.exited.is_set() and not self._pipes and not self.ended.done():
            self.ended.set_result(None)

    @property
    def said(self) -> str:
        lines = self.messages.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


async def run(
    command: Sequence[str], given: bytes, environment: Mapping[str, str], timeout_real_s: float
) -> Ended:
    """Raises OSError where it cannot be started, FloodError, and TimeoutError."""
    loop = asyncio.get_running_loop()
    transport, watched = await loop.subprocess_exec(
        _Watched, *command, env=environment, start_new_session=True
    )
    try:
        pipe = transport.get_pipe_transport(0)
        if isinstance(pipe, asyncio.WriteTransport):
            pipe.write(given)
            pipe.write_eof()
        async with asyncio.timeout(timeout_real_s):
            await watched.ended
        code = transport.get_returncode()
        return Ended(-1 if code is None else code, bytes(watched.output), watched.said)
    finally:
        # Its group lives on where a child of it does, also after it has ended itself.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(transport.get_pid(), signal.SIGKILL)
        await watched.exited.wait()
        transport.close()
        if watched.ended.done() and not watched.ended.cancelled():
            watched.ended.exception()  # a flood that nobody waited for is no news

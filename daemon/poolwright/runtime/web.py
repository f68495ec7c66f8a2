"""Serves an ASGI application inside the daemon's own loop."""

import asyncio
import contextlib
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette
from typing_extensions import override

from poolwright.errors import SettingsError


class _Server(uvicorn.Server):
    """Leaves the signals to the daemon."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class WebServer:
    """`start` returns when the port listens; `port` says which (0 asks for a free one)."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        config = uvicorn.Config(app, host=host, port=port, log_level="warning", lifespan="off")
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None
        self._address = f"{host}:{port}"

    @property
    def port(self) -> int:
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._task = asyncio.create_task(self._serve(), name="http")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                msg = f"the HTTP port {self._address} cannot be opened: is it in use?"
                raise SettingsError(msg)
            await asyncio.sleep(0.01)

    async def _serve(self) -> None:
        # uvicorn leaves by SystemExit when the port is taken; a task must not end the daemon so.
        with contextlib.suppress(SystemExit):
            await self._server.serve()

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task

"""A real plant behind its real HTTP API, whose faults come when a test asks for them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.types import ASGIApp, Receive, Scope, Send

from poolwright.actuation.provider import CallError, NoCapacity, Unreachable
from poolwright.clock import VirtualClock
from poolwright.model.rule import Mode, PoolRule, ServiceRule
from poolwright.runtime.plant_server import plant_app
from poolwright.runtime.web import WebServer
from poolwright.simulation.plant import Plant
from poolwright.simulation.spec import Fault, FaultKind, PlantSpec, PoolSpec

FAULTS: dict[type[CallError], Fault] = {
    NoCapacity: Fault(1000.0, FaultKind.STOCKOUT, 100.0),
    Unreachable: Fault(2000.0, FaultKind.API_UNREACHABLE, 100.0),
}


class SimulatedPlant:
    """Serves one pool with two replicas on a virtual clock that only the tests move."""

    def __init__(self, pool: PoolRule) -> None:
        self.clock = VirtualClock()
        spec = PoolSpec(pool.name, startup_s=60.0, faults=tuple(FAULTS.values()))
        self.plant = Plant(PlantSpec("chat", (spec,)), seed=1)
        self.plant.set_replicas(pool.name, 2, at=0.0)
        service = ServiceRule("chat", Mode.ACT, (), (pool,), (), ())
        self._app = plant_app(self.plant, service, self.clock)
        self._next_write: Fault | None = None

    def fail_next_write(self, error: type[CallError]) -> None:
        """The plant's own fault begins just before the next write and is over after it."""
        self._next_write = FAULTS[error]

    def advance(self, to: float) -> None:
        self.clock.advance_to(to)
        self.plant.advance(to)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._next_write if scope["method"] == "PUT" else None
        if fault is None:
            await self._app(scope, receive, send)
            return
        self._next_write = None
        self.advance(fault.at_s)
        await self._app(scope, receive, send)
        self.advance(fault.at_s + fault.duration_s)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with served(self) as url:
            yield url


@contextlib.asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    server = WebServer(app, "127.0.0.1", 0)
    await server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def without_replies(url: str) -> AsyncIterator[str]:
    """A way to `url` that brings every request there and loses every answer."""
    host, _, port = url.removeprefix("http://").partition(":")

    async def relay(client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        head = await client.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.decode().lower().splitlines():
            if line.startswith("content-length:"):
                length = int(line.partition(":")[2])
        writer.write(head + await client.readexactly(length))
        await reader.readuntil(b"\r\n\r\n")
        for end in (writer, answers):
            end.close()
            await end.wait_closed()

    relaying = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with relaying:
        yield f"http://127.0.0.1:{relaying.sockets[0].getsockname()[1]}"

"""A TCP proxy between a client and an HTTP/1.1 server, whose faults come when a test asks for them.

It knows where a request ends, and nothing else of HTTP: so a fault can strike writes alone, and a
reply can be lost after the server has obeyed. With TLS it ends the client's and begins its own.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum

HOST = "127.0.0.1"

Which = Callable[[bytes], bool]
"""Gets a request, head and body, as it came."""


class FaultKind(StrEnum):
    RESET = "reset"
    """The connection is reset before the request reaches the server."""
    HALF_OPEN = "half_open"
    """The request is swallowed and nothing ever comes back."""
    DELAY = "delay"
    """The request reaches the server `seconds` later."""
    STATUS = "status"
    """The proxy answers with `status` in the server's stead."""
    TRUNCATE = "truncate"
    """The server obeys; half of its reply comes, then the connection ends."""
    LOSE_REPLY = "lose_reply"
    """The server obeys; the connection is reset before a byte of the reply comes."""


@dataclass(frozen=True, slots=True)
class Fault:
    kind: FaultKind
    only: Which = lambda _: True
    """Which requests it strikes."""
    status: int = 500
    retry_after: str | None = None
    body: bytes = b"{}"
    seconds: float = 0.0


@dataclass(slots=True)
class _Way:
    """One client's connection and the server's end of it."""

    client: asyncio.StreamReader
    to_client: asyncio.StreamWriter
    server: asyncio.StreamReader
    to_server: asyncio.StreamWriter
    spoil: Fault | None = None
    """What befalls the reply that comes next."""


@dataclass(slots=True)
class FaultProxy:
    """`url` leads through the proxy; while `fault` is set it strikes the requests it is for."""

    url: str
    fault: Fault | None = None
    requests: list[bytes] = field(default_factory=list)
    """All that came, also those that never reached the server."""
    came_at: list[float] = field(default_factory=list)
    """When each of them came, in the loop's seconds."""
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a fault has struck; tests clear it."""

    def heal(self) -> None:
        self.fault = None

    def count(self, which: Which) -> int:
        return sum(map(which, self.requests))


@contextlib.asynccontextmanager
async def fault_proxy(
    host: str,
    port: int,
    *,
    serve_tls: ssl.SSLContext | None = None,
    dial_tls: ssl.SSLContext | None = None,
) -> AsyncIterator[FaultProxy]:
    """A proxy of the server at `host`:`port` until the block ends."""
    ways: set[asyncio.Task[None]] = set()

    async def accept(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        ways.add(task)
        try:
            await _carry(proxy, client, to_client, (host, port, dial_tls))
        except asyncio.CancelledError:
            pass  # the block ends; asyncio would log a cancelled task of a connection as an error
        finally:
            to_client.transport.abort()
            ways.discard(task)

    listening = await asyncio.start_server(accept, HOST, 0, ssl=serve_tls)
    scheme = "http" if serve_tls is None else "https"
    proxy = FaultProxy(f"{scheme}://{HOST}:{listening.sockets[0].getsockname()[1]}")
    try:
        yield proxy
    finally:
        listening.close()
        for way in tuple(ways):
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await asyncio.sleep(0)  # transports say goodbye in the loop's next round
        await listening.wait_closed()


async def _carry(
    proxy: FaultProxy,
    client: asyncio.StreamReader,
    to_client: asyncio.StreamWriter,
    server_at: tuple[str, int, ssl.SSLContext | None],
) -> None:
    host, port, tls = server_at
    try:
        server, to_server = await asyncio.open_connection(host, port, ssl=tls)
    except OSError:
        _reset(to_client)
        return
    way = _Way(client, to_client, server, to_server)
    both = [asyncio.create_task(_requests(proxy, way)), asyncio.create_task(_replies(way))]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in (to_client, to_server):
            end.close()
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def _requests(proxy: FaultProxy, way: _Way) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            request = await _request(way.client)
            proxy.requests.append(request)
            proxy.came_at.append(asyncio.get_running_loop().time())
            fault = proxy.fault
            if fault is not None and fault.only(request):
                goes_on = await _strike(way, fault, proxy.struck)
                if not goes_on:
                    return
            way.to_server.write(request)
            await way.to_server.drain()


async def _request(client: asyncio.StreamReader) -> bytes:
    """One request with its body, whose length its head must tell."""
    head = await client.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            length = int(value)
        if name == b"transfer-encoding":
            raise NotImplementedError("a chunked request: its end is not known here")
    return head + await client.readexactly(length)


async def _strike(way: _Way, fault: Fault, struck: asyncio.Event) -> bool:
    """Whether the request goes on to the server."""
    struck.set()
    match fault.kind:
        case FaultKind.RESET:
            _reset(way.to_client)
            return False
        case FaultKind.HALF_OPEN:
            await way.client.read()  # until the client has had enough
            return False
        case FaultKind.STATUS:
            lines = [
                f"HTTP/1.1 {fault.status} Fault",
                "content-type: application/json",
                f"content-length: {len(fault.body)}",
                "connection: close",
            ]
            if fault.retry_after is not None:
                lines.append(f"retry-after: {fault.retry_after}")
            way.to_client.write("\r\n".join([*lines, "", ""]).encode() + fault.body)
            await way.to_client.drain()
            return False
        case FaultKind.DELAY:
            await asyncio.sleep(fault.seconds)
            return True
        case FaultKind.TRUNCATE | FaultKind.LOSE_REPLY:
            way.spoil = fault
            return True


async def _replies(way: _Way) -> None:
    with contextlib.suppress(OSError):
        while reply := await way.server.read(64 * 1024):
            if way.spoil is not None:
                if way.spoil.kind is FaultKind.TRUNCATE:
                    way.to_client.write(reply[: len(reply) // 2])
                    await way.to_client.drain()
                else:
                    _reset(way.to_client)
                return
            way.to_client.write(reply)
            await way.to_client.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """A RST instead of an orderly end."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

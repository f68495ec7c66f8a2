"""The way to an API: one client, made anew when a certificate changes; one request, one answer."""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx2

from poolwright.actuation.described.shapes import Tls
from poolwright.actuation.provider import Invalid, Unauthorised, Unreachable

TIMEOUT_S: Final = 8.0
"""Of a request with its answer: less than a call's limit, so that the error says what was asked."""
CONNECT_S: Final = 3.0
LIMITS: Final = httpx2.Limits(max_connections=8, max_keepalive_connections=2, keepalive_expiry=2.0)
"""A connection that was idle for longer may be one that the API is about to close: an order that
goes out on it has no answer, and nobody knows whether it was done."""
LARGEST: Final = 1024 * 1024
"""Bytes of an answer; larger ones are refused."""

Stamp = tuple[tuple[int, int, int], ...]


class Connection:
    """Redirects are not followed: what proves whose a request is belongs to this host alone."""

    def __init__(self, tls: Tls | None) -> None:
        self._files = [part.file for part in (tls.ca, tls.cert, tls.key) if part] if tls else []
        self._tls = tls
        self._stamp: Stamp | None = None
        self._client: httpx2.AsyncClient | None = None
        self._replaced: httpx2.AsyncClient | None = None
        """Calls may still be under way on it; closed with the next."""

    async def ask(
        self, method: str, url: httpx2.URL, headers: Mapping[str, str], content: bytes
    ) -> tuple[httpx2.Response, bytes]:
        """The answer, whatever it says, and its body."""
        where = f"{method} {url}"
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        request = httpx2.Request(method, url, headers=encoded, content=content)
        client = await self._current(where)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await client.send(request, stream=True)
                try:
                    return answer, await _body(answer, where)
                finally:
                    await answer.aclose()
        except TimeoutError:
            raise Unreachable(
                f"{where}: no whole answer within {TIMEOUT_S:g} s; check the API"
            ) from None
        except httpx2.LocalProtocolError as error:
            raise Invalid(
                f"{where}: no request can be made of this: {error}; correct the described file or"
                f" the pool"
            ) from error
        except httpx2.HTTPError as error:
            raise Unreachable(
                f"{where}: no answer ({type(error).__name__}: {error}); check the network, the"
                f" address and the certificates"
            ) from error

    async def close(self) -> None:
        for client in (self._client, self._replaced):
            if client is not None:
                await client.aclose()

    async def _current(self, where: str) -> httpx2.AsyncClient:
        stamp = self._stamped(where)
        if self._client is None or stamp != self._stamp:
            made = self._made(where)
            old, self._replaced = self._replaced, self._client
            self._client, self._stamp = made, stamp
            if old is not None:
                await old.aclose()
        return self._client

    def _stamped(self, where: str) -> Stamp:
        try:
            found = [Path(file).stat() for file in self._files]
        except OSError as error:
            raise _unreadable(where, error) from None
        return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in found)

    def _made(self, where: str) -> httpx2.AsyncClient:
        try:
            verify = True if self._tls is None else _context(self._tls)
        except (OSError, ValueError) as error:
            raise _unreadable(where, error) from None
        timeout = httpx2.Timeout(TIMEOUT_S, connect=CONNECT_S)
        return httpx2.AsyncClient(
            verify=verify, timeout=timeout, limits=LIMITS, follow_redirects=False
        )


async def _body(answer: httpx2.Response, where: str) -> bytes:
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise Unreachable(
            f"{where}: the answer is compressed, which was not asked for; see what answers there"
        )
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > LARGEST:
            raise Unreachable(
                f"{where}: the answer is larger than {LARGEST} bytes; ask for less in `url`"
            )
    return bytes(body)


def _context(tls: Tls) -> ssl.SSLContext:
    # No environment variable for what the file says: SSL_CERT_FILE would undo `ca`.
    context = (
        httpx2.create_ssl_context()
        if tls.ca is None
        else ssl.create_default_context(cafile=tls.ca.file)
    )
    if tls.cert is not None:
        key = None if tls.key is None else tls.key.file
        # Without this a key with a passphrase would ask for it at the terminal.
        context.load_cert_chain(tls.cert.file, key, password=lambda: "")
    return context


def _unreadable(where: str, error: Exception) -> Unauthorised:
    return Unauthorised(
        f"{where}: the certificates of `tls` cannot be used: {error}; mend the files"
    )

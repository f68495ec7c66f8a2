"""Any REST API that counts and orders replicas, as a file in the folder of described APIs says."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx2

from poolwright.actuation.described.answering import Answer
from poolwright.actuation.described.connection import Connection
from poolwright.actuation.described.credentials import Outgoing, proof
from poolwright.actuation.described.files import read_api
from poolwright.actuation.described.shapes import Address
from poolwright.actuation.described.templates import in_header, in_json, in_url
from poolwright.actuation.provider import Finding, Invalid, Level
from poolwright.actuation.targets.http import HttpTarget
from poolwright.clock import SystemClock
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule
from poolwright.settings import Settings

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
SENT: Final = {"accept": "application/json", "accept-encoding": "identity"}


class HttpProvider:
    """One pool of a described API."""

    def __init__(self, pool: PoolRule, settings: Settings) -> None:
        self._api = read_api(settings.apis_folder, HttpTarget.of(pool).ref)
        self._values = HttpTarget.for_pools_of(self._api).of(pool).parameters
        self._pool = pool.name
        self._base = in_url(self._api.base_url, self._values)
        self._clock = SystemClock()
        self._connection = Connection(self._api.tls)
        self._etag: str | None = None
        """Of what was read last: what the next order rests on."""

    async def read(self) -> PoolReport:
        read = self._api.read
        at = self._clock.now()
        answer = await self._call(read.method, read, in_json(read.body, self._values))
        counts = answer.counts(read)
        self._etag = answer.headers.get("etag")
        return PoolReport(
            self._pool,
            at,
            counts.desired,
            counts.ready,
            counts.starting,
            counts.terminating,
            counts.short,
        )

    async def set_replicas(self, count: int, *, key: str, drain: Sequence[str] = ()) -> None:
        order = self._api.set_
        if order.precondition_header is not None and self._etag is None:
            await self.read()
        headers = {}
        if order.idempotency_header is not None:
            headers[order.idempotency_header] = key
        if order.precondition_header is not None and self._etag is not None:
            headers[order.precondition_header] = self._etag
        body = in_json(order.body, {**self._values, "count": count, "key": key})
        if drain and order.drain is not None:
            body = {**(body or {}), order.drain: list(drain)}
        # Whatever comes of it, what was read before is no more.
        self._etag = None
        answer = await self._call(order.method, order, body, headers, key=key, count=count)
        answer.granted(order.granted, count)

    async def inspect(self) -> Sequence[Finding]:
        await self.read()
        url = self._url(self._api.read, self._values)
        findings = [
            Finding(
                Level.OK,
                f"{url.host} lets the count be read; whether it may be set shows with the first"
                f" order, for nothing is ordered here",
            )
        ]
        if self._api.auth is not None and url.scheme == "http" and url.host not in LOOPBACK:
            what = f"credentials go to {url.host} without encryption"
            findings.append(Finding(Level.WARNING, what, "write https:// in `base_url`"))
        return findings

    async def close(self) -> None:
        await self._connection.close()

    async def _call(
        self,
        method: str,
        address: Address,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        key: str = "",
        count: int = 0,
    ) -> Answer:
        """The answer of a success, or what another means."""
        filled = {**self._values, "count": count, "key": key}
        url = self._url(address, filled)
        # YAML has dates, which JSON has not: they are sent as they are written.
        content = b"" if body is None else json.dumps(body, default=str).encode()
        sent = {**SENT, **{n: in_header(v, filled) for n, v in address.headers.items()}}
        if content:
            sent["content-type"] = "application/json"
        sent.update(headers or {})
        path, _, query = url.raw_path.decode().partition("?")
        outgoing = Outgoing(method, url.netloc.decode(), path, query, content, key)
        where, now = f"{method} {url}", self._clock.now()
        proved = self._prove(outgoing, now)
        answer, found = await self._connection.ask(method, url, {**sent, **proved}, content)
        if answer.status_code == 401 and (fresh := self._prove(outgoing, now)) != proved:
            # Rotated in between: what was refused so has not been done, and may be asked again.
            answer, found = await self._connection.ask(method, url, {**sent, **fresh}, content)
        text = found.decode("utf-8", "replace")
        heard = Answer(where, answer.status_code, answer.headers, text, self._values)
        error = heard.error(self._api, self._clock.now())
        if error is not None:
            raise error
        return heard

    def _prove(self, outgoing: Outgoing, now: float) -> Mapping[str, str]:
        return proof(self._api.auth, outgoing, self._values, now)

    def _url(self, address: Address, filled: Mapping[str, object]) -> httpx2.URL:
        text = self._base + in_url(address.url, filled)
        try:
            return httpx2.URL(text)
        except httpx2.InvalidURL as error:
            raise Invalid(f"{text}: {error}; correct the described file or the pool") from error

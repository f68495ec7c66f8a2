"""A JSON API behind bearer tokens: one request a call, its answer or what the answer means."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from poolwright.actuation.answers import Hints, meaning
from poolwright.actuation.provider import CallError, Unreachable
from poolwright.actuation.tokens import Tokens
from poolwright.clock import Clock

TIMEOUT_S: Final = 9.0
"""Less than a call's own limit, so that the error says what was asked."""

Body = Mapping[str, Any]
Explain = Callable[[int, Body, str], CallError | None]
"""What an API's own words mean, by status, answer and what is to be said; None: what HTTP means."""


@dataclass(frozen=True, slots=True)
class Reply:
    body: Body
    headers: Mapping[str, str]
    """Asked in lower case."""


class Rest:
    """The API at `base`. Nothing is repeated, but once with a fresh token where one has expired."""

    def __init__(
        self,
        base: str,
        tokens: Tokens,
        clock: Clock,
        *,
        where: str,
        explain: Explain,
        hints: Hints | None = None,
    ) -> None:
        self._base = base.rstrip("/")
        self._origin = httpx2.URL(base)
        self._tokens = tokens
        self._clock = clock
        self._where = where
        self._explain = explain
        self._hints = hints
        self._client = httpx2.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False)

    async def get(self, path: str, **params: str) -> Body:
        return (await self.call("GET", path, params=params)).body

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """`path` is below the base, or a whole address that an answer of this API has named."""
        url = self._address(path)
        asked = f"{self._where}: {method} {url.path}"
        token = await self._tokens.get()
        answer = await self._send(asked, token, method, url, params, body, headers)
        if answer.status_code == 401:
            self._tokens.refused(token)
            token = await self._tokens.get()
            answer = await self._send(asked, token, method, url, params, body, headers)
        found = _json(answer.content)
        if answer.is_success and found is not None:
            return Reply(found, answer.headers)
        if answer.is_success:
            raise Unreachable(f"{asked}: the answer is no JSON object; see what answers at {url}")
        found = found or {}
        said = f"{asked}: {words(found) or answer.reason_phrase}"
        raise self._explain(answer.status_code, found, said) or meaning(
            answer.status_code,
            said,
            headers=answer.headers,
            now=self._clock.now(),
            hints=self._hints,
        )

    async def close(self) -> None:
        await self._client.aclose()

    def _address(self, path: str) -> httpx2.URL:
        url = httpx2.URL(path if "://" in path else self._base + path)
        if (url.scheme, url.netloc) != (self._origin.scheme, self._origin.netloc):
            # The token is for this API alone.
            raise Unreachable(
                f"{self._where}: an answer of {self._base} names {url.scheme}://{url.host}, which "
                f"is not asked; see what answers there"
            )
        return url

    async def _send(
        self,
        asked: str,
        token: str,
        method: str,
        url: httpx2.URL,
        params: Mapping[str, str] | None,
        body: Body | None,
        headers: Mapping[str, str] | None,
    ) -> httpx2.Response:
        try:
            return await self._client.request(
                method,
                url,
                params=params or None,
                json=body,
                headers={"authorization": f"Bearer {token}", **(headers or {})},
            )
        except httpx2.HTTPError as error:
            raise Unreachable(
                f"{asked}: no answer ({type(error).__name__}: {error}); check the network"
            ) from error


def words(body: Body) -> str:
    """The code and the message of an error, as Google and Azure write them alike; '' without."""
    error = body.get("error")
    if not isinstance(error, dict):
        return ""
    parts = (error.get("status") or error.get("code"), error.get("message"))
    return ": ".join(str(part) for part in parts if part)


def _json(content: bytes) -> dict[str, Any] | None:
    """An object; an empty answer is an empty one."""
    if not content:
        return {}
    try:
        found = json.loads(content)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None

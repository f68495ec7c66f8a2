"""Requests to a cluster's API: JSON in and out, only the errors of `provider`, no retries.

The one exception is an answer 401: the credentials are read anew and the request is sent again,
once. What was refused has done nothing, so that this is no second try of an order.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final, NoReturn

import httpx2

from poolwright.actuation.answers import Hints, meaning
from poolwright.actuation.kubernetes.access import Access
from poolwright.actuation.provider import NoCapacity, Unauthorised, Unreachable
from poolwright.clock import Clock
from poolwright.errors import SettingsError

TIMEOUT_S: Final = 10.0
HINTS: Final = Hints(
    unauthorised="see `poolwright check --live` for what the role lacks",
    gone="correct the target in the rule file or create the object",
)

Json = dict[str, Any]


class Expired(Exception):  # noqa: N818  it reads as a word
    """A watch cannot go on from where it was: what it watches has to be listed anew."""


class Api:
    """A cluster, as the credentials of `context` see it; `where` begins each error's message."""

    def __init__(self, context: str | None, where: str, clock: Clock) -> None:
        self._context = context
        self._where = where
        self._clock = clock
        self._open = self._opened()
        self._before: httpx2.AsyncClient | None = None
        """Of the credentials before: who still waits for its answers gets them."""
        self._renewing = asyncio.Lock()

    async def get(self, path: str, **params: str) -> Json:
        return await self._ask("GET", path, params=params)

    async def put(self, path: str, body: Json) -> Json:
        return await self._ask("PUT", path, body=body)

    async def post(self, path: str, body: Json) -> Json:
        return await self._ask("POST", path, body=body)

    async def merge(self, path: str, body: Json) -> Json:
        return await self._ask("PATCH", path, body=body, form="application/merge-patch+json")

    @contextlib.asynccontextmanager
    async def watch(
        self, path: str, *, silence_s: float, **params: str
    ) -> AsyncIterator[AsyncIterator[Json]]:
        """The events of a collection as they come, until the server or a silence ends them.

        Expired: it cannot begin, or go on, from the resource version that `params` name.
        """
        call = f"watch {path}"
        request = {
            "params": {"watch": "true", **params},
            "timeout": httpx2.Timeout(TIMEOUT_S, read=silence_s),
        }
        with self._meaningful(call):
            # What does not even begin to answer is as dead as any other request.
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._send("GET", path, request, stream=True)
            try:
                if answer.status_code != 200:
                    await answer.aread()
                    self._refuse(answer, call)
                yield self._events(answer, call)
            finally:
                await answer.aclose()

    async def close(self) -> None:
        for client in (self._open[1], self._before):
            if client is not None:
                await client.aclose()

    async def _events(self, answer: httpx2.Response, call: str) -> AsyncIterator[Json]:
        async for line in answer.aiter_lines():
            event = _object(json.loads(line))
            if event["type"] != "ERROR":
                yield event
                continue
            status = _object(event["object"])
            if status.get("code") == 410:
                raise Expired(status.get("message"))
            raise Unreachable(f"{self._where}: {call} ended: {status.get('message')}")

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Json | None = None,
        form: str = "application/json",
    ) -> Json:
        request: dict[str, Any] = {"params": params}
        if body is not None:
            request |= {"content": json.dumps(body), "headers": {"content-type": form}}
        call = f"{method} {path}"
        with self._meaningful(call):
            answer = await self._send(method, path, request)
            if not answer.is_success:
                self._refuse(answer, call)
            return _object(answer.json())

    async def _send(
        self, method: str, path: str, request: dict[str, Any], *, stream: bool = False
    ) -> httpx2.Response:
        used = self._open
        answer = await _sent(*used, method, path, request, stream=stream)
        if answer.status_code == 401:
            await answer.aclose()
            fresh = await self._renewed(used)
            answer = await _sent(*fresh, method, path, request, stream=stream)
        return answer

    async def _renewed(
        self, refused: tuple[Access, httpx2.AsyncClient]
    ) -> tuple[Access, httpx2.AsyncClient]:
        """Other credentials than those; of several that were refused with them one reads."""
        async with self._renewing:
            if self._open is refused:
                try:
                    opened = await asyncio.to_thread(self._opened)
                except SettingsError as error:
                    raise Unauthorised(f"{self._where}: {error}") from error
                if self._before is not None:
                    await self._before.aclose()
                self._before, self._open = refused[1], opened
            return self._open

    def _opened(self) -> tuple[Access, httpx2.AsyncClient]:
        access = Access(self._context, self._clock)
        client = httpx2.AsyncClient(base_url=access.url, verify=access.tls, timeout=TIMEOUT_S)
        return access, client

    def _refuse(self, answer: httpx2.Response, call: str) -> NoReturn:
        """Raise what an answer that is no success means."""
        try:
            why = str(_object(answer.json()).get("message") or answer.reason_phrase)
        except ValueError:
            why = answer.reason_phrase
        said = f"{self._where}: {call}: {why}"
        if answer.status_code == 403 and "exceeded quota" in why:
            raise NoCapacity(f"{said}; raise the quota or lower the pool's max")
        if answer.status_code == 410 and call.startswith("watch"):
            raise Expired(why)
        raise meaning(
            answer.status_code, said, headers=answer.headers, now=self._clock.now(), hints=HINTS
        )

    @contextlib.contextmanager
    def _meaningful(self, call: str) -> Iterator[None]:
        try:
            yield
        except (httpx2.HTTPError, TimeoutError) as error:
            raise Unreachable(
                f"{self._where}: {call}: the Kubernetes API did not answer "
                f"({type(error).__name__}: {error}); check the network and the API server"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise Unreachable(
                f"{self._where}: {call}: the answer is not one of the Kubernetes API "
                f"({type(error).__name__}: {error}); check what stands between"
            ) from error


async def _sent(
    access: Access,
    client: httpx2.AsyncClient,
    method: str,
    path: str,
    request: dict[str, Any],
    *,
    stream: bool,
) -> httpx2.Response:
    made = client.build_request(method, path, **request)
    authorization = await access.authorization()
    if authorization is not None:
        made.headers["authorization"] = authorization
    return await client.send(made, stream=stream)


def _object(found: Any) -> Json:
    if not isinstance(found, dict):
        raise TypeError(f"an object was expected, not {type(found).__name__}")
    return found

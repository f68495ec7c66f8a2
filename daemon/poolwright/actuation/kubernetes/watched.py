"""A collection of objects kept current by a watch: listed once, then told of each change.

It says of itself whether it can be trusted. A watch that broke goes on from where it was, after a
back-off; one that fell too far behind (410) lists anew; and since a connection can die without a
word, silence is no health: what has been quiet for long is to be asked directly.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from poolwright.actuation.kubernetes.api import Api, Expired
from poolwright.actuation.provider import CallError, Unauthorised
from poolwright.clock import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")

TRUSTED_S: Final = 30.0
"""So long a watch is believed without a word from it: what is quiet is confirmed by a request."""
SILENCE_S: Final = 90.0
"""The API server sends bookmarks every minute: a stream that has none is dead."""
SESSION_S: Final = "240"
"""After so many seconds the API server itself ends a watch, which then goes on."""
BACK_OFF_S: Final = (0.5, 30.0)
"""First and longest; doubled with each failure in a row."""
CLOSING_S: Final = 1.0
FORBIDDEN_S: Final = 60.0
"""Until what the role does not allow is tried again: roles are mended while the daemon runs."""


class Watched(Generic[T]):
    """`items` by name, as `keep` made them, and the resource version that they are of."""

    def __init__(
        self,
        api: Api,
        path: str,
        keep: Callable[[dict[str, Any]], T],
        clock: Clock,
        **selectors: str,
    ) -> None:
        self._api = api
        self._path = path
        self._keep = keep
        self._clock = clock
        self._selectors = selectors
        self._heard_at: float | None = None
        """Monotonic seconds of the last word; None while no stream is open."""
        self._task: asyncio.Task[None] | None = None
        self._waits = asyncio.Event()
        """Set while it hears the stream or backs off, and no connection is being made."""
        self.items: dict[str, T] = {}
        self.version = ""
        """'' until it was listed, and after it fell behind."""
        self.refused: Unauthorised | None = None
        """What the role lacks, while it does."""

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"watch of {self._path}")

    async def close(self) -> None:
        if self._task is not None:
            # A connection that is cancelled while it is made is left open by the HTTP client.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSING_S):
                    await self._waits.wait()
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def trusted(self) -> bool:
        now = self._clock.monotonic()
        return self._heard_at is not None and now - self._heard_at < TRUSTED_S

    def confirm(self) -> None:
        """A request has just found what the stream, if it is open, had told."""
        if self._heard_at is not None:
            self._heard_at = self._clock.monotonic()

    async def _run(self) -> None:
        failures = 0
        while True:
            self._waits.clear()
            began = self._clock.monotonic()
            try:
                if not self.version:
                    await self._list()
                await self._follow()
            except Expired:
                self.version = ""
            except Unauthorised as error:
                self.refused = error
            except (CallError, KeyError, TypeError, ValueError) as error:
                # Whoever reads meanwhile asks directly, and tells what keeps it from an answer.
                log.debug("the watch of %s broke: %s", self._path, error)
            finally:
                self._heard_at = None
            lived_s = self._clock.monotonic() - began
            # What lived for a while has ended in order; what ends at once must not be a busy loop.
            failures = 0 if lived_s > BACK_OFF_S[1] else failures + 1
            self._waits.set()
            await asyncio.sleep(FORBIDDEN_S if self.refused else _back_off_s(failures))

    async def _list(self) -> None:
        found = await self._api.get(self._path, **self._selectors)
        self.items = {raw["metadata"]["name"]: self._keep(raw) for raw in found["items"]}
        self.version = found["metadata"]["resourceVersion"]

    async def _follow(self) -> None:
        async with self._api.watch(
            self._path,
            silence_s=SILENCE_S,
            resourceVersion=self.version,
            allowWatchBookmarks="true",
            timeoutSeconds=SESSION_S,
            **self._selectors,
        ) as events:
            self.refused = None
            self._heard_at = self._clock.monotonic()
            self._waits.set()
            async for event in events:
                self._take(event["type"], event["object"])
                self._heard_at = self._clock.monotonic()

    def _take(self, kind: str, raw: dict[str, Any]) -> None:
        metadata = raw["metadata"]
        if kind == "DELETED":
            self.items.pop(metadata["name"], None)
        elif kind != "BOOKMARK":
            self.items[metadata["name"]] = self._keep(raw)
        self.version = metadata["resourceVersion"]


def _back_off_s(failures: int) -> float:
    first, longest = BACK_OFF_S
    return min(longest, first * 2 ** (failures - 1)) if failures else 0.0

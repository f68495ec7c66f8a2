"""Writes to the journal from the daemon's loop, on a thread of its own.

A full disk or a lock is no reason to end: a write that the journal refuses waits, in its order,
and is tried again. Until then `error` says what is wrong, and whoever acts must ask it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from poolwright.errors import JournalError

log = logging.getLogger(__name__)

T = TypeVar("T")


class Recorder:
    """One write at a time, in the order of the calls. Belongs to one event loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._turn = asyncio.Lock()
        self._waiting: deque[Callable[[], object]] = deque()
        self.error: str | None = None
        """Why the journal cannot be written, as of the last attempt; None while it can."""
        self.errors = 0
        """Attempts that failed."""

    async def run(self, call: Callable[[], T]) -> T:
        """The call's result; its JournalError is the caller's."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def write(self, call: Callable[[], object]) -> bool:
        """True when what `call` writes is durable; False when it waits for `retry`."""
        async with self._turn:
            if not self._waiting and await self._try(call):
                return True
            self._waiting.append(call)
            return False

    async def attempt(self, call: Callable[[], object]) -> bool:
        """As `write`, but what failed is not kept: the next one takes its place."""
        async with self._turn:
            return not self._waiting and await self._try(call)

    async def retry(self) -> bool:
        """Writes what waits; True when nothing waits any more."""
        async with self._turn:
            while self._waiting:
                if not await self._try(self._waiting[0]):
                    return False
                self._waiting.popleft()
            return True

    async def _try(self, call: Callable[[], object]) -> bool:
        try:
            await self.run(call)
        except JournalError as error:
            self.errors += 1
            if self.error is None:
                log.error("nothing is scaled until this is mended: %s", error)  # noqa: TRY400
            self.error = str(error)
            return False
        if self.error is not None:
            log.warning("the journal can be written again")
            self.error = None
        return True

    def close(self) -> None:
        """Waits for the write that is under way."""
        if self._waiting:
            log.error("%d writes to the journal are lost: %s", len(self._waiting), self.error)
        self._thread.shutdown(wait=True)

"""Bearer tokens: fetched off the event loop, kept, renewed before they expire."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from poolwright.actuation.provider import CallError
from poolwright.clock import Clock
from poolwright.redaction import never_show

log = logging.getLogger(__name__)

EARLY_S: Final = 300.0
"""A token that expires within so long is renewed beside the calls, which go on with it."""
SPARE_S: Final = 30.0
"""One that expires within so long is not used any more: calls wait for the next."""


@dataclass(frozen=True, slots=True)
class Token:
    value: str = field(repr=False)
    expires_at: float
    """Seconds since the epoch."""


Fetch = Callable[[], Token]
"""Gets a new token, never one that it has kept. It blocks, and raises nothing but a CallError."""


class Tokens:
    """The tokens of one login. However many calls wait for one, it is fetched once."""

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._token: Token | None = None
        self._renewal: asyncio.Task[Token] | None = None

    async def get(self) -> str:
        """A token that is good for a while; CallError says why there is none."""
        left_s = self._token.expires_at - self._clock.now() if self._token is not None else 0.0
        if self._token is not None and left_s > SPARE_S:
            if left_s < EARLY_S:
                self._renewing()
            return self._token.value
        # A call that is cut off must not take the token from the others that wait.
        return (await asyncio.shield(self._renewing())).value

    def refused(self, value: str) -> None:
        """The API did not take this one: the next call gets another."""
        if self._token is not None and self._token.value == value:
            self._token = None

    async def close(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)

    def _renewing(self) -> asyncio.Task[Token]:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew(), name="token")
            self._renewal.add_done_callback(_note_failure)
        return self._renewal

    async def _renew(self) -> Token:
        token = await asyncio.to_thread(self._fetch)
        never_show(token.value)
        self._token = token
        return token


def _note_failure(renewal: asyncio.Task[Token]) -> None:
    """Also of a renewal that no call waits for."""
    if not renewal.cancelled() and isinstance(error := renewal.exception(), CallError):
        log.debug("no token (%s): %s", error.kind, error)

"""Provider calls made safe: a time limit around each, only the errors of `provider`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from poolwright.actuation.provider import CallError, Finding, Provider, Unreachable
from poolwright.clock import Clock
from poolwright.model.pool import PoolReport
from poolwright.redaction import without_secrets

T = TypeVar("T")

CALL_TIMEOUT_S: Final = 10.0
CALL_TIMEOUT_REAL_FLOOR_S: Final = 2.0
"""A network does not speed up with the demo's clock."""


def call_timeout_real_s(clock: Clock) -> float:
    return max(clock.real_seconds(CALL_TIMEOUT_S), CALL_TIMEOUT_REAL_FLOOR_S)


async def bounded(call: Awaitable[T], timeout_real_s: float) -> T:
    """The call's result or a CallError, within the time limit."""
    try:
        async with asyncio.timeout(timeout_real_s):
            return await call
    except CallError:
        raise
    except TimeoutError as error:
        raise Unreachable(
            f"the provider gave no answer within {timeout_real_s:g} s; check that its API is "
            f"reachable from here"
        ) from error
    except Exception as error:
        # A fault of an adapter must end the action like any other failure, never kill its task.
        raise Unreachable(
            f"the provider's adapter failed with {type(error).__name__}: {error}; "
            f"this is a fault of the adapter, please report it"
        ) from error


OnCall = Callable[[str, float, str], None]
"""Gets the operation (`read`, `set_replicas`), its seconds, and an error kind or ''."""


class Observed:
    """A provider whose calls are measured, so that adapters hold the API and nothing else."""

    def __init__(self, provider: Provider, clock: Clock, on_call: OnCall) -> None:
        self._provider = provider
        self._clock = clock
        self._on_call = on_call

    async def read(self) -> PoolReport:
        report = await self._observe("read", self._provider.read())
        return replace(report, short=without_secrets(report.short)) if report.short else report

    async def set_replicas(self, count: int, *, key: str, drain: Sequence[str] = ()) -> None:
        call = self._provider.set_replicas(count, key=key, drain=drain)
        await self._observe("set_replicas", call)

    async def inspect(self) -> Sequence[Finding]:
        return await self._observe("inspect", self._provider.inspect())

    async def close(self) -> None:
        await self._provider.close()

    async def _observe(self, operation: str, call: Awaitable[T]) -> T:
        started = self._clock.monotonic()
        # What is neither success nor a CallError: a bug, or a time limit that cancelled the call.
        error = Unreachable.kind
        try:
            result = await call
        except CallError as failure:
            error = failure.kind
            raise
        else:
            error = ""
            return result
        finally:
            self._on_call(operation, self._clock.monotonic() - started, error)

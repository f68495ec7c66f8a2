"""A command of the user's: one JSON object on its input, one on its output, for each call."""

import json
import os
from collections.abc import Sequence
from typing import Any, Final

from poolwright.actuation.command_answers import VERSION, Reply
from poolwright.actuation.commands import LARGEST, FloodError, run
from poolwright.actuation.provider import Finding, Invalid, Level, NoCapacity, Unreachable
from poolwright.actuation.targets.exec import ExecTarget
from poolwright.clock import SystemClock
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule
from poolwright.redaction import Redaction, never_show, secrets_in
from poolwright.settings import Settings

PASSED: Final = ("PATH", "HOME", "LANG")
"""Variables that every command gets; no other of the daemon's, for many are secrets."""


class ExecProvider:
    """One pool; each call is a process of its own."""

    def __init__(self, pool: PoolRule, settings: Settings) -> None:  # noqa: ARG002  same as all
        self._target = ExecTarget.of(pool)
        self._pool = pool.name
        self._clock = SystemClock()

    async def read(self) -> PoolReport:
        at = self._clock.now()
        reply = await self._ask("read")
        desired, ready = reply.count("desired"), reply.count("ready")
        return PoolReport(
            self._pool,
            at,
            desired,
            ready,
            reply.count("starting", max(0, desired - ready)),
            reply.count("terminating", 0),
            reply.text("short"),
        )

    async def set_replicas(self, count: int, *, key: str, drain: Sequence[str] = ()) -> None:
        reply = await self._ask("set_replicas", count=count, key=key, drain=list(drain))
        if (granted := reply.count("granted", count)) < count:
            raise NoCapacity(
                f"{reply.said}: {granted} of {count} replicas were granted", granted=granted
            )

    async def inspect(self) -> Sequence[Finding]:
        reply = await self._ask("inspect")
        lacking = [name for name in self._target.env if name not in os.environ]
        return [
            *reply.findings(),
            *(
                Finding(
                    Level.WARNING,
                    f"`env` names {name}, which the daemon does not have",
                    "give it to the daemon, or leave it out",
                )
                for name in lacking
            ),
        ]

    async def close(self) -> None:
        """Nothing is kept between calls."""

    async def _ask(self, operation: str, **order: Any) -> Reply:
        said = f"{self._target.command[0]} {operation} of pool {self._pool}"
        asked = {"version": VERSION, "operation": operation, "pool": self._pool, **order}
        passed = {name: os.environ[name] for name in self._target.env if name in os.environ}
        never_show(*secrets_in(passed))
        # What is passed by a name that tells of no secret is hidden in the command's words alone.
        hidden = Redaction()
        hidden.never_show(*passed.values())
        environment = {name: os.environ[name] for name in PASSED if name in os.environ} | passed
        timeout_s = self._target.timeout
        try:
            ended = await run(
                self._target.command, json.dumps(asked).encode(), environment, timeout_s
            )
        except TimeoutError:
            raise Unreachable(
                f"{said}: killed, for it had not ended within {timeout_s:g} s; find what it waits"
                f" for, or raise `timeout`"
            ) from None
        except FloodError:
            raise Unreachable(
                f"{said}: killed, for it wrote more than {LARGEST} bytes; it should write one JSON"
                f" object, and its messages to stderr"
            ) from None
        except (OSError, ValueError) as error:
            raise Invalid(
                f"{said}: cannot be started: {error}; correct `command`, or make it executable"
            ) from None
        return Reply.of(ended, said, hidden)

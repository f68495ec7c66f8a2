"""A command of the user's: one JSON object on its input, one on its output, for each call."""

import json
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any, Final

from poolwright.actuation.commands import LARGEST, Ended, FloodError, run
from poolwright.actuation.provider import (
    CallError,
    Conflict,
    Finding,
    Gone,
    Invalid,
    Level,
    NoCapacity,
    Throttled,
    Unauthorised,
    Unreachable,
)
from poolwright.actuation.targets.exec import ExecTarget
from poolwright.clock import SystemClock
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule
from poolwright.redaction import Redaction, never_show, secrets_in
from poolwright.settings import Settings

VERSION: Final = 1
"""Of what is on input and output."""
PASSED: Final = ("PATH", "HOME", "LANG")
QUOTED: Final = 300
"""Characters of the command's own words in a message."""
_PLAIN: Final = {kind.kind: kind for kind in (Gone, Conflict, Unauthorised, Invalid, Unreachable)}
KINDS: Final = (*_PLAIN, NoCapacity.kind, Throttled.kind)

Body = Mapping[str, Any]


class ExecProvider:
    """One pool; each call is a process of its own."""

    def __init__(self, pool: PoolRule, settings: Settings) -> None:  # noqa: ARG002  same as all
        self._target = ExecTarget.of(pool)
        self._pool = pool.name
        self._clock = SystemClock()

    async def read(self) -> PoolReport:
        at = self._clock.now()
        said, body = await self._ask("read")
        desired, ready = _count(said, body, "desired"), _count(said, body, "ready")
        return PoolReport(
            self._pool,
            at,
            desired,
            ready,
            _count(said, body, "starting") if "starting" in body else max(0, desired - ready),
            _count(said, body, "terminating") if "terminating" in body else 0,
            _text(said, body, "short"),
        )

    async def set_replicas(self, count: int, *, key: str, drain: Sequence[str] = ()) -> None:
        said, body = await self._ask("set_replicas", count=count, key=key, drain=list(drain))
        if "granted" in body and (granted := _count(said, body, "granted")) < count:
            raise NoCapacity(f"{said}: {granted} of {count} replicas were granted", granted=granted)

    async def inspect(self) -> Sequence[Finding]:
        said, body = await self._ask("inspect")
        findings = body.get("findings", [])
        try:
            found = [
                Finding(
                    Level(finding["level"]), str(finding["what"]), str(finding.get("remedy", ""))
                )
                for finding in findings
            ]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _unusable(said, "`findings` with a `level` and `what` each") from None
        found += [
            Finding(
                Level.WARNING,
                f"`env` names {name}, which the daemon does not have",
                "give it to the daemon, or leave it out",
            )
            for name in self._target.env
            if name not in os.environ
        ]
        return found

    async def close(self) -> None:
        """Nothing is kept between calls."""

    async def _ask(self, operation: str, **order: Any) -> tuple[str, Body]:
        """What begins messages about the answer, and the answer of a success."""
        said = f"{self._target.command[0]} {operation} of pool {self._pool}"
        asked = {"version": VERSION, "operation": operation, "pool": self._pool, **order}
        passed = {n: os.environ[n] for n in self._target.env if n in os.environ}
        never_show(*secrets_in(passed))
        # What is passed by a name that tells of no secret is hidden in the command's words alone.
        hidden = Redaction()
        hidden.never_show(*passed.values())
        environment = {n: os.environ[n] for n in PASSED if n in os.environ} | passed
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
                f" object and its messages to stderr"
            ) from None
        except (OSError, ValueError) as error:
            raise Invalid(
                f"{said}: cannot be started: {error}; correct `command`, or make it executable"
            ) from None
        body = _parsed(ended.output)
        if body is not None and isinstance(body.get("error"), dict):
            raise _refusal(said, body["error"], hidden)
        if ended.code != 0:
            raise Unreachable(f"{said}: {_how(ended)}: {_quoted(ended.said, hidden)}")
        if body is None:
            quoted = _quoted(
                ended.said or ended.output[: QUOTED * 4].decode(errors="replace"), hidden
            )
            raise _unusable(said, f"one JSON object, but: {quoted}")
        if body.get("version", VERSION) != VERSION:
            raise _unusable(said, f"version {VERSION}")
        return said, body


def _parsed(output: bytes) -> Body | None:
    try:
        found = json.loads(output)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refusal(said: str, error: Body, hidden: Redaction) -> CallError:
    """The command's own verdict."""
    kind = error.get("kind")
    message = f"{said}: {_quoted(str(error.get('message', '')), hidden)}"
    match kind:
        case NoCapacity.kind:
            granted = None if error.get("granted") is None else _count(said, error, "granted")
            return NoCapacity(message, granted=granted)
        case Throttled.kind:
            asked_s = error.get("retry_after_s")
            usable = isinstance(asked_s, (int, float)) and 0 <= asked_s < 1e9
            return Throttled(message, retry_after_s=float(asked_s) if usable else None)  # type: ignore[arg-type]
        case str() if kind in _PLAIN:
            return _PLAIN[kind](message)
        case _:
            return _unusable(said, f"an error's `kind`, one of {', '.join(KINDS)}")


def _count(said: str, body: Body, key: str) -> int:
    count = body.get(key)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise _unusable(said, f"a count as `{key}`")
    return count


def _text(said: str, body: Body, key: str) -> str:
    text = body.get(key, "")
    if not isinstance(text, str):
        raise _unusable(said, f"a text as `{key}`")
    return text


def _unusable(said: str, wanted: str) -> Unreachable:
    return Unreachable(f"{said}: the answer must have {wanted}; see docs/providers/exec.md")


def _how(ended: Ended) -> str:
    if ended.code >= 0:
        return f"exit code {ended.code}"
    try:
        return f"killed by {signal.Signals(-ended.code).name}"
    except ValueError:
        return f"killed by signal {-ended.code}"


def _quoted(text: str, hidden: Redaction) -> str:
    """One line, bounded, without what was passed; hidden first, for a cut secret is none."""
    line = " ".join(hidden.without_secrets(text).split())
    return line[:QUOTED] or "it said nothing"

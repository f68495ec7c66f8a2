"""What a command of the user's says on its output: counts, never guessed, or its own verdict."""

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from poolwright.actuation.commands import Ended
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
from poolwright.redaction import Redaction

VERSION: Final = 1
"""Of what is on input and output."""
QUOTED: Final = 300
"""Characters of the command's own words in a message."""
_PLAIN: Final = {kind.kind: kind for kind in (Gone, Conflict, Unauthorised, Invalid, Unreachable)}
KINDS: Final = (*_PLAIN, NoCapacity.kind, Throttled.kind)


@dataclass(frozen=True, slots=True)
class Reply:
    """The object that a command wrote; whatever it lacks is Unreachable."""

    said: str
    """Begins each message: which command, and what it was asked."""
    body: Mapping[str, Any]
    hidden: Redaction
    """Of what it was passed: it may write that into its words."""

    @classmethod
    def of(cls, ended: Ended, said: str, hidden: Redaction) -> Self:
        """The reply of a success; raises the command's own error, or what its end means."""
        body = _parsed(ended.output)
        if body is not None and isinstance(body.get("error"), dict):
            raise cls(said, body["error"], hidden).refusal()
        if ended.code != 0:
            raise Unreachable(f"{said}: {_how(ended)}: {_quoted(ended.said, hidden)}")
        reply = cls(said, body or {}, hidden)
        if body is None:
            first = ended.output[: QUOTED * 4].decode(errors="replace")
            raise reply.lacks(f"one JSON object, but: {_quoted(ended.said or first, hidden)}")
        if body.get("version", VERSION) != VERSION:
            raise reply.lacks(f"version {VERSION}")
        return reply

    def count(self, key: str, default: int | None = None) -> int:
        count = self.body.get(key, default)
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise self.lacks(f"a count as `{key}`")
        return count

    def text(self, key: str) -> str:
        text = self.body.get(key, "")
        if not isinstance(text, str):
            raise self.lacks(f"a text as `{key}`")
        return self.hidden.without_secrets(text)

    def findings(self) -> list[Finding]:
        try:
            return [
                Finding(
                    Level(found["level"]),
                    self.hidden.without_secrets(str(found["what"])),
                    self.hidden.without_secrets(str(found.get("remedy", ""))),
                )
                for found in self.body.get("findings", [])
            ]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self.lacks("`findings` with a `level` and `what` each") from None

    def refusal(self) -> CallError:
        """The command's own verdict, of the object under `error`."""
        kind = self.body.get("kind")
        message = f"{self.said}: {_quoted(str(self.body.get('message', '')), self.hidden)}"
        match kind:
            case NoCapacity.kind:
                granted = self.count("granted") if "granted" in self.body else None
                return NoCapacity(message, granted=granted)
            case Throttled.kind:
                asked_s = self.body.get("retry_after_s")
                usable = isinstance(asked_s, (int, float)) and 0 <= asked_s < 1e9
                return Throttled(message, retry_after_s=asked_s if usable else None)
            case str() if kind in _PLAIN:
                return _PLAIN[kind](message)
            case _:
                return self.lacks(f"an error's `kind`, one of {', '.join(KINDS)}")

    def lacks(self, wanted: str) -> Unreachable:
        return Unreachable(
            f"{self.said}: the answer must have {wanted}; see docs/providers/exec.md"
        )


def _parsed(output: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(output)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _how(ended: Ended) -> str:
    if ended.code >= 0:
        return f"exit code {ended.code}"
    try:
        return f"killed by {signal.Signals(-ended.code).name}"
    except ValueError:
        return f"killed by signal {-ended.code}"


def _quoted(text: str, hidden: Redaction) -> str:
    """One line, bounded; what is hidden is so before the cut, for half a secret is one, too."""
    line = " ".join(hidden.without_secrets(text).split())
    return line[:QUOTED] or "it said nothing"

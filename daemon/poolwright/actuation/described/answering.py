"""What an answer of a described API says: counts, never guessed, or an error."""

import contextlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from poolwright import redaction
from poolwright.actuation import answers
from poolwright.actuation.described import pointers
from poolwright.actuation.described.shapes import Api, Read, Refusal, Replicas
from poolwright.actuation.described.templates import in_pointer
from poolwright.actuation.provider import (
    CallError,
    Conflict,
    Gone,
    Invalid,
    NoCapacity,
    Throttled,
    Unauthorised,
    Unreachable,
)

QUOTED: Final = 200
"""Characters of an answer that is quoted where no pointer says what its reason is."""
_PLAIN: Final = {kind.kind: kind for kind in (Gone, Conflict, Unauthorised, Invalid, Unreachable)}


@dataclass(frozen=True, slots=True)
class Counts:
    desired: int
    ready: int
    starting: int
    terminating: int
    short: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; `values` are the pool's parameters, which pointers may name."""

    where: str
    """Which call it answers: begins each message."""
    status: int
    headers: Mapping[str, str]
    """Asked in lower case."""
    text: str
    values: Mapping[str, str]
    body: object = field(init=False)
    """Its JSON; None where it is none."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "body", _parsed(self.text))

    def count(self, pointer: str) -> int:
        """The number of replicas at the pointer; Unreachable where there is none."""
        pointer = in_pointer(pointer, self.values)
        try:
            found = pointers.find(pointer, self.body)
        except LookupError:
            raise self._unusable(f"has nothing at {pointer!r}") from None
        if not isinstance(found, int) or isinstance(found, bool) or found < 0:
            raise self._unusable(f"has no count at {pointer!r} but {_shown(found)}")
        return found

    def words(self, pointer: str | None) -> str:
        """The text at the pointer, or ''."""
        found = self._found(pointer)
        return found if isinstance(found, str) else ""

    def _found(self, pointer: str | None) -> object:
        """What stands at the pointer, or None."""
        if pointer is None:
            return None
        return pointers.found(in_pointer(pointer, self.values), self.body)

    def counts(self, read: Read) -> Counts:
        if self.body is None:
            raise self._unusable("is no JSON")
        desired, short = self.count(read.desired), self.words(read.short)
        if read.replicas is not None:
            states = self._states(read.replicas)
            ready, leaving = states["ready"], states["terminating"]
            return Counts(desired, ready, states["starting"], leaving, short)
        ready = self.count(str(read.ready))
        starting = max(0, desired - ready)
        if read.starting is not None:
            starting = self.count(read.starting)
        terminating = 0 if read.terminating is None else self.count(read.terminating)
        return Counts(desired, ready, starting, terminating, short)

    def _states(self, rule: Replicas) -> Counter[str]:
        place = in_pointer(rule.list_, self.values)
        replicas = pointers.found(place, self.body)
        if not isinstance(replicas, list):
            raise self._unusable(f"has no list at {place!r}")
        means = {
            state: meaning
            for meaning in ("ready", "starting", "terminating", "ignored")
            for state in getattr(rule, meaning)
        }
        found: Counter[str] = Counter()
        for i, replica in enumerate(replicas):
            state = pointers.found(in_pointer(rule.state, self.values), replica)
            if not isinstance(state, str) or state not in means:
                raise self._unusable(
                    f"has a replica in the state {_shown(state)} at '{place}/{i}{rule.state}',"
                    f" which no list under `replicas` names"
                )
            found[means[state]] += 1
        return found

    def granted(self, pointer: str | None, ordered: int) -> None:
        """NoCapacity where a success says that fewer were granted than ordered."""
        if pointer is None:
            return
        granted = self.count(pointer)
        if granted < ordered:
            raise NoCapacity(
                f"{self.where}: {granted} of {ordered} replicas were granted", granted=granted
            )

    def error(self, api: Api, now: float) -> CallError | None:
        """What it means if it is no success; `now` is seconds since the epoch."""
        quoted = redaction.quoted(" ".join(self.text.split()), QUOTED)
        reason = self.words(api.reason) or quoted or "no reason given"
        said = f"{self.where}: {reason}"
        for rule in api.errors:
            if self._fits(rule):
                return self._meant(
                    rule, f"{redaction.quoted(said, answers.SHOWN)} (HTTP {self.status})", now
                )
        if self.status < 300:
            return None
        if self.status < 400:
            return Invalid(
                f"{self.where}: the API sends elsewhere (HTTP {self.status}), which is not"
                f" followed; write the new address into `base_url`"
            )
        return answers.meaning(self.status, said, headers=self.headers, now=now)

    def _fits(self, rule: Refusal) -> bool:
        if self.status not in rule.status:
            return False
        if rule.contains is not None and rule.contains not in self.text:
            return False
        if rule.at is None:
            return True
        found = self._found(rule.at)
        return type(found) is type(rule.is_) and found == rule.is_

    def _meant(self, rule: Refusal, said: str, now: float) -> CallError:
        match rule.means:
            case "no_capacity":
                granted = self._number(rule.granted)
                return NoCapacity(said, granted=None if granted is None else int(granted))
            case "throttled":
                asked_s = answers.retry_after_s(self.headers.get("retry-after"), now)
                if asked_s is None:
                    asked_s = self._number(rule.retry_after)
                return Throttled(said, retry_after_s=asked_s)
            case kind:
                return _PLAIN[kind](said)

    def _number(self, pointer: str | None) -> float | None:
        """What stands at the pointer as far as it is of use beside the error itself."""
        found = self._found(pointer)
        if isinstance(found, bool) or not isinstance(found, (int, float)):
            return None
        return float(found) if 0 <= found < 1e9 else None

    def _unusable(self, why: str) -> Unreachable:
        return Unreachable(
            f"{self.where}: the answer {why}; correct the described file, or see what answers there"
        )


def _parsed(text: str) -> object:
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text)
    return None


def _shown(value: Any) -> str:
    text = redaction.without_secrets(json.dumps(value))
    return text if len(text) <= 40 else f"{text[:39]}…"

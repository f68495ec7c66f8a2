"""What an answer of a described API says: counts, never guessed, or an error."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

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

    @property
    def body(self) -> object:
        """Its JSON; None where it is none."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None

    def count(self, pointer: str, value: object) -> int:
        """The number of replicas at the pointer; Unreachable where there is none."""
        pointer = in_pointer(pointer, self.values)
        try:
            found = pointers.find(pointer, value)
        except LookupError:
            raise self._unusable(f"has nothing at {pointer!r}") from None
        if not isinstance(found, int) or isinstance(found, bool) or found < 0:
            raise self._unusable(f"has no count at {pointer!r} but {_shown(found)}")
        return found

    def words(self, pointer: str | None, value: object) -> str:
        """The text at the pointer, or ''."""
        found = pointers.found(pointer and in_pointer(pointer, self.values), value)
        return found if isinstance(found, str) else ""

    def counts(self, read: Read) -> Counts:
        body = self.body
        if body is None:
            raise self._unusable("is no JSON")
        desired = self.count(read.desired, body)
        short = self.words(read.short, body)
        if read.replicas is not None:
            states = self._states(read.replicas, body)
            ready, leaving = states["ready"], states["terminating"]
            return Counts(desired, ready, states["starting"], leaving, short)
        ready = self.count(str(read.ready), body)
        starting = max(0, desired - ready)
        if read.starting is not None:
            starting = self.count(read.starting, body)
        terminating = 0 if read.terminating is None else self.count(read.terminating, body)
        return Counts(desired, ready, starting, terminating, short)

    def _states(self, rule: Replicas, body: object) -> Counter[str]:
        place = in_pointer(rule.list_, self.values)
        replicas = pointers.found(place, body)
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
        granted = self.count(pointer, self.body)
        if granted < ordered:
            raise NoCapacity(
                f"{self.where}: {granted} of {ordered} replicas were granted", granted=granted
            )

    def error(self, api: Api, now: float) -> CallError | None:
        """What it means if it is no success; `now` is seconds since the epoch."""
        body = self.body
        quoted = " ".join(self.text.split())[:QUOTED]
        reason = self.words(api.reason, body) or quoted or "no reason given"
        said = f"{self.where}: {reason}"
        for rule in api.errors:
            if self._fits(rule, body):
                return self._meant(rule, body, f"{said[: answers.SHOWN]} (HTTP {self.status})", now)
        if self.status < 300:
            return None
        if self.status < 400:
            return Invalid(
                f"{self.where}: the API sends elsewhere (HTTP {self.status}), which is not"
                f" followed; write the new address into `base_url`"
            )
        return answers.meaning(self.status, said, headers=self.headers, now=now)

    def _fits(self, rule: Refusal, body: object) -> bool:
        if self.status not in rule.status:
            return False
        if rule.contains is not None and rule.contains not in self.text:
            return False
        if rule.at is None:
            return True
        found = pointers.found(in_pointer(rule.at, self.values), body)
        return type(found) is type(rule.is_) and found == rule.is_

    def _meant(self, rule: Refusal, body: object, said: str, now: float) -> CallError:
        match rule.means:
            case "no_capacity":
                granted = self._number(rule.granted, body)
                return NoCapacity(said, granted=None if granted is None else int(granted))
            case "throttled":
                asked_s = answers.retry_after_s(self.headers.get("retry-after"), now)
                return Throttled(
                    said, retry_after_s=asked_s or self._number(rule.retry_after, body)
                )
            case kind:
                return _PLAIN[kind](said)

    def _number(self, pointer: str | None, body: object) -> float | None:
        found = pointers.found(pointer and in_pointer(pointer, self.values), body)
        usable = isinstance(found, (int, float)) and not isinstance(found, bool)
        return float(found) if usable and 0 <= found < 1e9 else None  # type: ignore[arg-type, operator]

    def _unusable(self, why: str) -> Unreachable:
        return Unreachable(
            f"{self.where}: the answer {why}; correct the described file, or see what answers there"
        )


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:39]}…"

"""Names interned to small integers, so that samples travel in columns without an object each.

Replicas come and go under new names, so that names must be forgotten, too. Whoever holds numbers
does not tell when it lets go of one; the owner of the table says from time to time which numbers
are in use. A name that is not becomes a candidate: whoever interns it again gets the same number
and makes it a name like all others. One that is a candidate for `WAIT_S` and still not in use is
forgotten. Batches that were decoded before it became one have long been folded by then.

The number of a forgotten name is given to another only after `REUSE` more were forgotten, so that
a number that somebody kept longer than the owner knows means nothing, rather than something else.
"""

from collections import deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

UNTOLD: Final = ""
"""In place of a name that telemetry does not tell."""
LEAST: Final = 4096
"""Names that are not worth a look, however few of them are in use."""
WAIT_S: Final = 600.0
REUSE: Final = 16_384


@dataclass(frozen=True, slots=True)
class Sweeping:
    """What a table is forgetting and has forgotten, for a checkpoint."""

    candidates: tuple[int, ...] = ()
    since: float | None = None
    """When they became candidates."""
    forgotten: tuple[int, ...] = ()
    """The longest ago first."""
    used: int = 0
    """Names that were left when some were last forgotten."""


FRESH: Final = Sweeping()


class NameTable:
    """The same names in the same order, swept at the same times, have the same numbers."""

    __slots__ = ("_candidates", "_forgotten", "_ids", "_names", "_since", "_used")

    def __init__(self, names: tuple[str | None, ...] = (), sweeping: Sweeping = FRESH) -> None:
        """`names` by number, None of a forgotten one."""
        self._names = list(names)
        numbers = {name: number for number, name in enumerate(names) if name is not None}
        candidates = set(sweeping.candidates)
        self._ids = {name: i for name, i in numbers.items() if i not in candidates}
        self._candidates = {name: i for name, i in numbers.items() if i in candidates}
        self._since = sweeping.since
        self._forgotten = deque(sweeping.forgotten)
        self._used = sweeping.used

    def intern(self, name: str) -> int:
        found = self._ids.get(name)
        if found is None:
            found = self._ids[name] = self._number_for(name)
        return found

    def _number_for(self, name: str) -> int:
        known = self._candidates.pop(name, None)
        if known is not None:
            return known
        if len(self._forgotten) > REUSE:
            number = self._forgotten.popleft()
            self._names[number] = name
            return number
        self._names.append(name)
        return len(self._names) - 1

    def intern_all(self, names: list[str]) -> list[int]:
        """The numbers of many names: one look-up each, which is what a batch has time for."""
        try:
            return list(map(self._ids.__getitem__, names))
        except KeyError:
            return [self.intern(name) for name in names]

    def find(self, name: str) -> int | None:
        """The number of a name already seen, else None."""
        found = self._ids.get(name)
        return self._candidates.get(name) if found is None else found

    def name(self, number: int) -> str:
        """`UNTOLD` of a forgotten name."""
        return self._names[number] or UNTOLD

    def names(self) -> tuple[str | None, ...]:
        """By number; None of a forgotten name."""
        return tuple(self._names)

    @property
    def sweeping(self) -> Sweeping:
        candidates = tuple(sorted(self._candidates.values()))
        return Sweeping(candidates, self._since, tuple(self._forgotten), self._used)

    def __len__(self) -> int:
        """Names that are not forgotten."""
        return len(self._ids) + len(self._candidates)

    def to_sweep(self, at: float) -> bool:
        """Whether it is time: there are twice as many names as were left, or candidates waited."""
        if self._since is not None:
            return at - self._since >= WAIT_S
        return len(self) >= max(LEAST, 2 * self._used)

    def sweep(self, used: AbstractSet[int], at: float) -> None:
        """Names that are not in use become candidates; candidates of before are forgotten."""
        if self._since is None:
            self._since = at
            self._candidates = {name: i for name, i in self._ids.items() if i not in used}
            self._ids = {name: i for name, i in self._ids.items() if i in used}
            return
        for number in sorted(self._candidates.values()):
            name = self._names[number]
            if number in used and name is not None:
                self._ids[name] = number
            else:
                self._names[number] = None
                self._forgotten.append(number)
        self._candidates, self._since, self._used = {}, None, len(self._ids)

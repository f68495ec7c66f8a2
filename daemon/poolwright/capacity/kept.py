"""Requests that ended, for the regression: each in 22 bytes.

All times lie on one grid, that of the floats of our epoch: seconds since 1970 have no finer digits
until 2038. So nothing is lost, and what happened in the same instant stays so: which requests ran
beside which does not change. Rounding each time to fewer digits of its own would change it.
"""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poolwright.model.sample import Floats, Ids

TICKS_PER_S: Final = 2.0**22
LONGEST_S: Final = 2.0**31
"""Requests that took longer are not kept."""
MOST_TOKENS: Final = 2.0**24
"""Up to which a float of 32 bits counts exactly: a request's of both kinds together."""
SMALL: Final = 2.0**16 - 1.0
FEW: Final = 8
"""So many requests are taken sooner one by one."""
REPLICA, ARRIVED, FIRST, END, INPUT, OUTPUT = range(6)


class KeptRequests:
    """The oldest first. Times in epoch seconds."""

    __slots__ = ("_ends", "_spans", "_told")

    def __init__(self) -> None:
        self._ends: Floats = np.empty(0)
        self._spans: NDArray[Any] = np.empty((0, 2), dtype=np.uint32)
        """Ticks to the first token, and from there to the end; in 64 bits beyond 17 minutes."""
        self._told: NDArray[Any] = np.empty((0, 3), dtype=np.uint16)
        """Replica, input and output tokens; as floats where they are no whole numbers or large."""

    def __len__(self) -> int:
        return len(self._ends)

    def since(self, at: float) -> int:
        """How many have ended after `at`."""
        return int(np.count_nonzero(self._ends > at))

    def add(
        self,
        replica: Ids,
        at: Floats,
        ttft_s: Floats,
        decode_s: Floats,
        tokens: tuple[Floats, Floats],
    ) -> None:
        """Takes requests by when they ended, with their tokens in and out.

        One that does not tell all of them, or tells absurd ones, is left out.
        """
        if len(at) <= FEW and self._add_few(replica, at, ttft_s, decode_s, tokens):
            return
        known = (ttft_s + decode_s < LONGEST_S) & (tokens[0] + tokens[1] <= MOST_TOKENS)
        if not known.any():
            return
        at, ttft_s, decode_s = at[known], ttft_s[known], decode_s[known]
        first = at - decode_s
        ticks = np.round(np.stack((first - ttft_s, first, at)) * TICKS_PER_S)
        spans = np.diff(ticks, axis=0).T
        fits = spans.max() < 2.0**32
        self._ends = np.concatenate((self._ends, ticks[2] / TICKS_PER_S))
        new = spans.astype(np.uint32 if fits else np.uint64)
        self._spans = np.concatenate((self._spans, new))
        told = np.stack((replica, *tokens), axis=1, dtype=np.float32)[known]
        self._told = np.concatenate((self._told, _small(told)))

    def _add_few(
        self,
        replica: Ids,
        at: Floats,
        ttft_s: Floats,
        decode_s: Floats,
        tokens: tuple[Floats, Floats],
    ) -> bool:
        """The same number by number, where all are usual; else nothing is done."""
        columns = (column.tolist() for column in (replica, at, ttft_s, decode_s, *tokens))
        ends, spans, told = [], [], []
        for number, end_at, waited_s, decoded_s, taken, made in zip(*columns, strict=True):
            if not (waited_s + decoded_s < LONGEST_S and taken + made <= MOST_TOKENS):
                continue
            first_at = end_at - decoded_s
            if not math.isfinite(first_at - waited_s):
                return False
            arrived, first, end = (
                round(time * TICKS_PER_S) for time in (first_at - waited_s, first_at, end_at)
            )
            ends.append(end / TICKS_PER_S)
            spans.append((first - arrived, end - first))
            told.append((number, taken, made))
        if not ends:
            return True
        usual = all(0 <= span < 2**32 for both in spans for span in both) and all(
            0 <= number <= SMALL and number == int(number) for row in told for number in row
        )
        if usual:
            self._ends = np.concatenate((self._ends, ends))
            self._spans = np.concatenate((self._spans, np.array(spans, dtype=np.uint32)))
            self._told = np.concatenate((self._told, np.array(told, dtype=np.uint16)))
        return usual

    def keep(self, newest: int) -> None:
        """Forgets all but so many, at least one; what is left out goes with the next `add`."""
        self._ends, self._spans = self._ends[-newest:], self._spans[-newest:]
        self._told = _small(self._told[-newest:])
        if self._spans.itemsize > 4 and self._spans.max() < 2**32:
            self._spans = self._spans.astype(np.uint32)

    def replicas(self) -> set[int]:
        """Their numbers."""
        return set(np.unique(self._told[:, 0]).astype(np.int64).tolist())

    def rows(self) -> Floats:
        """Replica, arrived at, first token at, end at, input and output tokens of each."""
        spans_s = self._spans / TICKS_PER_S
        rows = np.empty((len(self), 6))
        rows[:, END] = self._ends
        rows[:, FIRST] = rows[:, END] - spans_s[:, 1]
        rows[:, ARRIVED] = rows[:, FIRST] - spans_s[:, 0]
        rows[:, REPLICA], rows[:, INPUT], rows[:, OUTPUT] = self._told.T
        return rows


def _small(told: NDArray[Any]) -> NDArray[Any]:
    """In 16 bits, where they are exact."""
    if told.dtype == np.float32 and told.min() >= 0.0 and told.max() <= SMALL:
        found = told.astype(np.uint16)
        return found if bool((found == told).all()) else told
    return told

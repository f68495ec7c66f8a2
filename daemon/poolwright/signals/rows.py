"""Which row of an array each series has."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from poolwright.model.sample import Bools
from poolwright.signals.sketch import Ints

_END = np.iinfo(np.int64).max
"""A code after all others, so that every search finds one."""


class Rows:
    """Rows 0, 1, … in the order in which series came, found by their codes."""

    __slots__ = ("_codes", "_rows")

    def __init__(self) -> None:
        self._codes: Ints = np.array([_END])
        """Ascending, and the row of each."""
        self._rows: Ints = np.array([0])

    def __len__(self) -> int:
        return len(self._codes) - 1

    def of(self, codes: Ints, series: Ints) -> Ints:
        """The row of each sample whose series has the code `codes[series]`, ascending codes.

        Series of samples have a row from then on.
        """
        used: Bools = np.zeros(len(codes), dtype=np.bool_)
        used[series] = True
        asked = codes[used]
        place = self._codes.searchsorted(asked)
        new = self._codes[place] != asked
        if new.any():
            self._append(asked[new])
            place = self._codes.searchsorted(asked)
        rows = np.zeros(len(codes), np.int64)
        rows[used] = self._rows[place]
        return rows[series]

    def _append(self, codes: Ints) -> None:
        have = len(self)
        place = self._codes.searchsorted(codes)
        self._codes = np.insert(self._codes, place, codes)
        self._rows = np.insert(self._rows, place, np.arange(have, have + len(codes)))

    def between(self, first: int, end: int) -> list[tuple[int, int]]:
        """Code and row of the series with first <= code < end, by code."""
        codes = self._codes.data
        start, stop = bisect_left(codes, first), bisect_left(codes, end)
        return list(
            zip(self._codes[start:stop].tolist(), self._rows[start:stop].tolist(), strict=True)
        )

    def find(self, code: int) -> int | None:
        """The row of one series."""
        place = int(self._codes.searchsorted(code))
        return int(self._rows[place]) if self._codes[place] == code else None

    def codes(self) -> Ints:
        """The code of each row."""
        found: Ints = self._codes[self._rows[:-1].argsort()]
        return found

    @classmethod
    def restore(cls, codes: Ints) -> Rows:
        rows = cls()
        order = codes.argsort()
        rows._codes, rows._rows = np.append(codes[order], _END), np.append(order, 0)
        return rows

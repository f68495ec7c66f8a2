"""Counts by integer key, in sorted arrays, for keys that come in columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from poolwright.signals.sketch import Ints

Counts = NDArray[np.uint32]
_END = np.iinfo(np.int64).max
"""A key after all others, so that every search finds one."""


class Cells:
    """How often each key was added."""

    __slots__ = ("_counts", "_keys")

    def __init__(self) -> None:
        self._keys: Ints = np.array([_END])
        self._counts: Counts = np.zeros(1, np.uint32)

    def __len__(self) -> int:
        return len(self._keys) - 1

    def add(self, keys: Ints) -> None:
        """Counts each key once more, in any order; sorts the array that it is given."""
        keys.sort()
        starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
        new, counts = keys[starts], np.diff(starts, append=len(keys)).astype(np.uint32)
        at = self._keys.searchsorted(new)
        known = self._keys[at] == new
        self._counts[at[known]] += counts[known]
        at, new, counts = at[~known], new[~known], counts[~known]
        self._keys = np.insert(self._keys, at, new)
        self._counts = np.insert(self._counts, at, counts)

    def between(self, first: int, end: int) -> tuple[Ints, Counts]:
        """Keys with first <= key < end, ascending, and their counts; views for reading."""
        start, stop = self._keys.searchsorted((first, end)).tolist()
        return self._keys[start:stop], self._counts[start:stop]

    def to_bytes(self) -> tuple[bytes, bytes]:
        return self._keys.tobytes(), self._counts.tobytes()

    @classmethod
    def from_bytes(cls, keys: bytes, counts: bytes) -> Cells:
        cells = cls()
        cells._keys = np.frombuffer(keys, np.int64)
        cells._counts = np.frombuffer(counts, np.uint32).copy()
        return cells

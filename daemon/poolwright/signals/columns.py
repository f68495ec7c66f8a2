"""Rows of one series in one growing buffer, sorted by time, evicted by time."""

from __future__ import annotations

import numpy as np

from poolwright.model.sample import Floats

SMALLEST = 32


class Columns:
    """`width` floats a row, the time first; rows of one time stand in order of arrival.

    The buffer is column by column, so that a binary search reads the times where they are.
    """

    __slots__ = ("_rows", "_used", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self._rows: Floats = np.empty((SMALLEST, width), order="F")
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def append(self, rows: Floats) -> None:
        """Adds rows of any order; those already in order after the last one cost no sorting."""
        if not len(rows):
            return
        if (rows[1:, 0] < rows[:-1, 0]).any():
            rows = rows[rows[:, 0].argsort(kind="stable")]
        start, need = self._used, self._used + len(rows)
        if need > len(self._rows):
            grown = np.empty((need * 2, self.width), order="F")
            grown[:start] = self._rows[:start]
            self._rows = grown
        self._rows[start:need] = rows
        self._used = need
        if start and rows[0, 0] < self._rows[start - 1, 0]:
            # Only the rows after the earliest new one move.
            moved = int(self._rows[:start, 0].searchsorted(rows[0, 0], "right"))
            tail = self._rows[moved:need]
            tail[:] = tail[tail[:, 0].argsort(kind="stable")]

    def put(self, rows: Floats) -> int:
        """Appends, replacing rows of the same time; returns how many were replaced."""
        given = len(rows)
        if given > 1:
            rows = rows[rows[:, 0].argsort(kind="stable")]
            last_of_time = np.append(rows[1:, 0] != rows[:-1, 0], True)
            rows = rows[last_of_time]
        replaced = given - len(rows)
        if self._used and rows[0, 0] <= self._rows[self._used - 1, 0]:
            at = self._rows[: self._used, 0]
            found = np.minimum(at.searchsorted(rows[:, 0]), self._used - 1)
            same = at[found] == rows[:, 0]
            self._rows[found[same]] = rows[same]
            replaced += int(same.sum())
            rows = rows[~same]
        self.append(rows)
        return replaced

    def evict(self, before: float) -> bool:
        """Drops rows up to `before`; False when none is left."""
        gone = int(self._rows[: self._used, 0].searchsorted(before, "right"))
        kept = self._used - gone
        # Moving rows costs; a quarter of slack bounds both the work and the memory.
        if kept == 0 or gone > self._used // 4:
            self._rows[:kept] = self._rows[gone : self._used].copy()
            self._used = kept
            if kept * 8 < len(self._rows) and len(self._rows) > SMALLEST:
                self._rows = self._rows[: max(SMALLEST, kept * 2)].copy(order="F")
        return kept > 0

    def within(self, since: float, until: float) -> Floats:
        """Rows with since < at <= until, oldest first; a view that the next change ends."""
        first, end = self._rows[: self._used, 0].searchsorted((since, until), "right").tolist()
        return self._rows[first:end]

    def to_bytes(self) -> bytes:
        return self._rows[: self._used].tobytes()

    @classmethod
    def from_bytes(cls, width: int, data: bytes) -> Columns:
        columns = cls(width)
        columns.append(np.frombuffer(data).reshape(-1, width))
        return columns

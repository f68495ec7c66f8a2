"""Rows of one series in one growing buffer, sorted by time, evicted by time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from poolwright.model.sample import Floats

SMALLEST = 28
"""Rows that there is room for: two minutes of one in five seconds, and those that go meanwhile."""


class Columns:
    """Rows of `width` floats, the time first; one row a time.

    A column takes memory from its first number on: nearly no replica tells all that one may. The
    buffer is column by column, so that a binary search reads the times where they are.
    """

    __slots__ = ("_newest", "_rows", "_used", "told", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.told: list[int] = [0]
        """The columns that are kept, as they lie in the buffer."""
        self._rows: Floats = np.empty((SMALLEST, 1), order="F")
        self._used = 0
        self._newest = -np.inf

    def __len__(self) -> int:
        return self._used

    def put(self, rows: Floats, some: Sequence[int]) -> int:
        """Adds rows with ascending times, replacing those of a time; returns how many it replaced.

        NaN is what a row does not tell; of the columns not in `some` none tells anything. Rows
        after all others, which is the rule, cost a copy.
        """
        new = [column for column in some if column not in self.told]
        if new:
            self._widen([column for column in new if not np.isnan(rows[:, column]).all()])
        rows = rows[:, self.told]
        behind = bool(rows[0, 0] <= self._newest)
        replaced = 0
        if behind:
            at = self._rows[: self._used, 0]
            found = np.minimum(at.searchsorted(rows[:, 0]), self._used - 1)
            same = at[found] == rows[:, 0]
            self._rows[found[same]] = rows[same]
            replaced = int(same.sum())
            rows = rows[~same]
        start, end = self._used, self._used + len(rows)
        if end > len(self._rows):
            grown = np.empty((end + end // 2, len(self.told)), order="F")
            grown[:start] = self._rows[:start]
            self._rows = grown
        self._rows[start:end] = rows
        self._used = end
        if behind and len(rows):
            # Only the rows after the earliest new one move.
            first = int(self._rows[:start, 0].searchsorted(rows[0, 0]))
            tail = self._rows[first:end]
            tail[:] = tail[tail[:, 0].argsort(kind="stable")]
        self._newest = float(self._rows[end - 1, 0])
        return replaced

    def _widen(self, new: list[int]) -> None:
        self.told += new
        wider = np.full((len(self._rows), len(self.told)), np.nan, order="F")
        wider[:, : self._rows.shape[1]] = self._rows
        self._rows = wider

    def evict(self, before: float) -> bool:
        """Drops rows up to `before`; False when none is left."""
        if self._used and self._rows[0, 0] > before:
            return True
        gone = int(self._rows[: self._used, 0].searchsorted(before, "right"))
        kept = self._used - gone
        # Moving rows costs; a quarter of slack bounds both the work and the memory. It is done
        # earlier where as many new ones would make the buffer grow.
        full = gone > 0 and self._used + gone > len(self._rows)
        if kept == 0 or full or gone > self._used // 4:
            self._rows[:kept] = self._rows[gone : self._used].copy()
            self._used = kept
            if kept * 8 < len(self._rows) and len(self._rows) > SMALLEST:
                self._rows = self._rows[: max(SMALLEST, kept * 2)].copy(order="F")
        if not kept:
            self._newest = -np.inf
        return kept > 0

    def within(self, since: float, until: float) -> slice:
        """The rows with since < at <= until, oldest first, until the next change."""
        times = self._rows[: self._used, 0].data
        return slice(bisect_right(times, since), bisect_right(times, until))

    def column(self, rows: slice, number: int) -> Floats:
        """A column of these rows, to be read before the next change; NaN where not told."""
        if number in self.told:
            return self._rows[rows, self.told.index(number)]
        return np.full(rows.stop - rows.start, np.nan)

    def number(self, row: int, column: int) -> float:
        """NaN where not told."""
        return float(self._rows[row, self.told.index(column)]) if column in self.told else np.nan

    def newest(self, since: float, until: float) -> Floats | None:
        """The newest row with since < at <= until."""
        rows = self.within(since, until)
        if rows.start == rows.stop:
            return None
        found = np.full(self.width, np.nan)
        found[self.told] = self._rows[rows.stop - 1]
        return found

    def to_bytes(self) -> bytes:
        """The rows, of the columns that are told."""
        return self._rows[: self._used].tobytes()

    @classmethod
    def from_bytes(cls, width: int, told: list[int], data: bytes) -> Columns:
        columns = cls(width)
        columns.told = told
        rows = np.frombuffer(data).reshape(-1, len(told))
        columns._rows = np.empty((max(SMALLEST, len(rows)), len(told)), order="F")
        columns._rows[: len(rows)] = rows
        columns._used, columns._newest = len(rows), float(rows[-1, 0])
        return columns

"""Rows of one series in one growing buffer, evicted by time."""

from __future__ import annotations

import numpy as np

from poolwright.model.sample import Floats

SMALLEST = 32


class Columns:
    """`width` floats a row, the time first; order of arrival, which nothing depends on."""

    __slots__ = ("_rows", "_used", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self._rows: Floats = np.empty((SMALLEST, width))
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def append(self, rows: Floats) -> None:
        need = self._used + len(rows)
        if need > len(self._rows):
            grown = np.empty((need * 2, self.width))
            grown[: self._used] = self._rows[: self._used]
            self._rows = grown
        self._rows[self._used : need] = rows
        self._used = need

    def put(self, rows: Floats) -> int:
        """Appends, replacing rows of the same time; returns how many were replaced."""
        replaced = 0
        for row in rows:
            live = self._rows[: self._used]
            same = np.flatnonzero(live[:, 0] == row[0])
            if len(same):
                live[same[0]] = row
                replaced += 1
            else:
                self.append(row[None, :])
        return replaced

    def evict(self, before: float) -> bool:
        """Drops rows up to `before`; False when none is left."""
        live = self._rows[: self._used]
        keep = live[:, 0] > before
        kept = int(keep.sum())
        # Moving rows costs; a quarter of slack bounds both the work and the memory.
        if kept == 0 or kept < self._used * 3 // 4:
            self._rows[:kept] = live[keep]
            self._used = kept
            if kept * 8 < len(self._rows) and len(self._rows) > SMALLEST:
                self._rows = self._rows[: max(SMALLEST, kept * 2)].copy()
        return kept > 0

    def within(self, since: float, until: float) -> Floats:
        """Rows with since < at <= until."""
        live = self._rows[: self._used]
        at = live[:, 0]
        return live[(at > since) & (at <= until)]

    def to_bytes(self) -> bytes:
        return self._rows[: self._used].tobytes()

    @classmethod
    def from_bytes(cls, width: int, data: bytes) -> Columns:
        columns = cls(width)
        columns.append(np.frombuffer(data).reshape(-1, width))
        return columns

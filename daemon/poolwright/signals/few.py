"""The samples of series that tell little, as they came: a few numbers each, not a pane a second.

Most series have a sample in a second or none, and a pane of every metric would cost ten times as
much. A series that tells more than `MOST` samples in a block of 32 seconds is kept in panes for the
rest of it, those that it told before included. What a window says is the same to the last digit.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from poolwright.model.sample import Bools, Floats
from poolwright.signals.blocks import PANE_S, PANES
from poolwright.signals.parts import FewSamples, Keys
from poolwright.signals.rows import Rows
from poolwright.signals.sketch import Ints

MOST = 256
"""Samples of a series; the panes and buckets of as many take about as much."""


_KINDS = (np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))


class SavedFew(msgspec.Struct, array_like=True):
    """For a checkpoint; `codes`, `told` and `many` are those of the rows, in their order."""

    number: float
    codes: bytes
    told: bytes
    many: bytes
    keys: bytes
    at: bytes
    columns: list[tuple[int, str, bytes]]
    """Metric, kind of numbers, numbers."""


class Few:
    """The panes that end PANES * number + 1 … PANES * number + PANES, of series with few samples.

    Samples lie by row, then by pane, then in order of arrival.
    """

    __slots__ = ("_at", "_columns", "_keys", "_many", "_told", "number", "rows")

    def __init__(self, number: float) -> None:
        self.number = number
        self.rows = Rows()
        """Of all series that told anything, many or few."""
        self._told: Ints = np.zeros(0, np.int64)
        self._many: Bools = np.zeros(0, np.bool_)
        """Samples of each row so far, and whether it is kept in panes."""
        self._keys: Keys = np.zeros(0, np.int32)
        self._at: Floats = np.zeros(0)
        self._columns: dict[int, NDArray[Any]] = {}
        """Of each metric that anybody told; NaN where not told."""

    def count(self, row: Ints, most: int) -> Ints:
        """Counts samples of these rows. Returns the rows that now have told more than `most`.

        These are to be kept in panes from now on.
        """
        new = len(self.rows) - len(self._told)
        self._told = np.append(self._told, np.zeros(new, np.int64))
        self._many = np.append(self._many, np.zeros(new, np.bool_))
        self._told += np.bincount(row, minlength=len(self._told))
        grown = np.flatnonzero((self._told > most) & ~self._many)
        self._many[grown] = True
        return grown

    def many(self, row: Ints) -> Bools:
        """Whether these rows are kept in panes."""
        found: Bools = self._many[row]
        return found

    def in_panes(self, row: int) -> bool:
        return bool(self._many[row])

    def add(self, at: Floats, row: Ints, pane: Ints, values: Floats) -> None:
        """Samples in order of arrival; values are (metric, sample)."""
        keys = (row * PANES + pane).astype(np.int32)
        order = keys.argsort(kind="stable")
        keys = keys[order]
        new = self._keys.searchsorted(keys, "right") + np.arange(len(keys))
        old = np.ones(len(self._keys) + len(keys), np.bool_)
        old[new] = False
        for metric in np.flatnonzero(~np.isnan(values).all(axis=1)).tolist():
            if metric not in self._columns:
                self._columns[metric] = np.full(len(self._keys), np.nan, _KINDS[0])
        for metric, column in self._columns.items():
            told = _narrowest(values[metric][order], column.dtype)
            self._columns[metric] = _merged(column.astype(told.dtype), told, old, new)
        self._keys = _merged(self._keys, keys, old, new)
        self._at = _merged(self._at, at[order], old, new)

    def release(self, rows: Ints, metrics: int) -> tuple[Floats, Ints, Ints, Floats]:
        """Takes out the samples of these rows: times, codes, panes, (metric, sample) values.

        Of a row and pane they are in order of arrival.
        """
        gone = np.isin(self._keys // PANES, rows)
        keys = self._keys[gone].astype(np.int64)
        values = np.full((metrics, len(keys)), np.nan)
        for metric, column in self._columns.items():
            values[metric] = column[gone]
        found = self._at[gone], self.rows.codes()[keys // PANES], keys % PANES, values
        stays = ~gone
        self._keys, self._at = self._keys[stays], self._at[stays]
        self._columns = {metric: column[stays] for metric, column in self._columns.items()}
        return found

    def read(self, row: int, metric: int, first: int, end: int) -> FewSamples | None:
        """A metric of a row in the panes first … end - 1; None where it is not told."""
        column = self._columns.get(metric)
        if column is None:
            return None
        since = row * PANES
        place = self._keys.data
        start, stop = bisect_left(place, since + first), bisect_left(place, since + end)
        values = column[start:stop].astype(np.float64)
        keys, at = self._keys[start:stop], self._at[start:stop]
        untold = np.isnan(values)
        if np.count_nonzero(untold):
            told = ~untold
            values, keys, at = values[told], keys[told], at[told]
        if not len(values):
            return None
        first_end = PANE_S * (self.number * PANES + first + 1.0)
        return FewSamples(first_end, end - first, keys, since + first, at, values)

    def save(self) -> SavedFew:
        return SavedFew(
            self.number,
            self.rows.codes().tobytes(),
            self._told.tobytes(),
            self._many.tobytes(),
            self._keys.tobytes(),
            self._at.tobytes(),
            [
                (metric, column.dtype.str, column.tobytes())
                for metric, column in self._columns.items()
            ],
        )

    @classmethod
    def restore(cls, saved: SavedFew) -> Few:
        few = cls(saved.number)
        few.rows = Rows.restore(np.frombuffer(saved.codes, np.int64))
        few._told = np.frombuffer(saved.told, np.int64).copy()
        few._many = np.frombuffer(saved.many, np.bool_).copy()
        few._keys = np.frombuffer(saved.keys, np.int32)
        few._at = np.frombuffer(saved.at)
        few._columns = {
            metric: np.frombuffer(numbers, kind) for metric, kind, numbers in saved.columns
        }
        return few

    @classmethod
    def of_many(cls, number: float, codes: Ints) -> Few:
        """That of a block in which all series, of these ascending codes, are kept in panes."""
        few = cls(number)
        few.rows = Rows.restore(codes)
        few._told = np.zeros(len(codes), np.int64)
        few._many = np.ones(len(codes), np.bool_)
        return few


def _merged(before: NDArray[Any], more: NDArray[Any], old: Bools, new: Ints) -> NDArray[Any]:
    """Both, `more` at the places `new` and the others at those that are `old`."""
    found = np.empty(len(old), before.dtype)
    found[old], found[new] = before, more
    return found


def _narrowest(numbers: Floats, least: np.dtype[Any]) -> NDArray[Any]:
    """The numbers in the first kind from `least` on that is exact: tokens need no eight bytes."""
    for kind in _KINDS[:-1]:
        if kind.itemsize >= least.itemsize:
            with np.errstate(over="ignore"):
                found = numbers.astype(kind)
            if bool(((found == numbers) | np.isnan(numbers)).all()):
                return found
    return numbers

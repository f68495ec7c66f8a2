"""The samples of series that tell little, as they came: a few numbers each, not a pane a second.

Most series have a sample in a second or none, and a pane of every metric would cost ten times as
much. A series that tells more than `MOST` samples in a block of 32 seconds is kept in panes for the
rest of it, those that it told before included. What a window says is the same to the last digit.
"""

from __future__ import annotations

import msgspec
import numpy as np

from poolwright.model.sample import Bools, Floats
from poolwright.signals.blocks import PANE_S, PANES
from poolwright.signals.parts import FewSamples, Keys
from poolwright.signals.rows import Rows
from poolwright.signals.sketch import Ints

MOST = 256
"""Samples of a series; the panes and buckets of as many take about as much."""


class SavedFew(msgspec.Struct, array_like=True):
    """For a checkpoint; `codes`, `told` and `many` are those of the rows, in their order."""

    number: float
    codes: bytes
    told: bytes
    many: bytes
    metrics: list[int]
    keys: bytes
    at: bytes
    values: bytes


class Few:
    """The panes that end PANES * number + 1 … PANES * number + PANES, of series with few samples.

    Samples lie by row, then by pane, then in order of arrival.
    """

    __slots__ = ("_at", "_keys", "_many", "_metrics", "_told", "_values", "number", "rows")

    def __init__(self, number: float) -> None:
        self.number = number
        self.rows = Rows()
        """Of all series that told anything, many or few."""
        self._told: Ints = np.zeros(0, np.int64)
        self._many: Bools = np.zeros(0, np.bool_)
        """Samples of each row so far, and whether it is kept in panes."""
        self._metrics: list[int] = []
        """That anybody told, in the order of `_values`."""
        self._keys: Keys = np.zeros(0, np.int32)
        self._at: Floats = np.zeros(0)
        self._values: Floats = np.zeros((0, 0))
        """(metric, sample); NaN where not told."""

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
        for metric in np.flatnonzero(~np.isnan(values).all(axis=1)).tolist():
            if metric not in self._metrics:
                self._metrics.append(metric)
                untold = np.full((1, len(self._keys)), np.nan)
                self._values = np.concatenate((self._values, untold))
        keys = (row * PANES + pane).astype(np.int32)
        order = keys.argsort(kind="stable")
        keys = keys[order]
        new = self._keys.searchsorted(keys, "right") + np.arange(len(keys))
        old = np.ones(len(self._keys) + len(keys), np.bool_)
        old[new] = False
        all_keys, all_at = np.empty(len(old), np.int32), np.empty(len(old))
        all_values = np.empty((len(self._metrics), len(old)))
        all_keys[old], all_keys[new] = self._keys, keys
        all_at[old], all_at[new] = self._at, at[order]
        all_values[:, old], all_values[:, new] = self._values, values[self._metrics][:, order]
        self._keys, self._at, self._values = all_keys, all_at, all_values

    def release(self, rows: Ints, metrics: int) -> tuple[Floats, Ints, Ints, Floats]:
        """Takes out the samples of these rows: times, codes, panes, (metric, sample) values.

        Of a row and pane they are in order of arrival.
        """
        gone = np.isin(self._keys // PANES, rows)
        keys = self._keys[gone].astype(np.int64)
        values = np.full((metrics, len(keys)), np.nan)
        values[self._metrics] = self._values[:, gone]
        found = self._at[gone], self.rows.codes()[keys // PANES], keys % PANES, values
        stays = ~gone
        self._keys, self._at = self._keys[stays], self._at[stays]
        self._values = self._values[:, stays]
        return found

    def read(self, row: int, metric: int, first: int, end: int) -> FewSamples | None:
        """A metric of a row in the panes first … end - 1; None where it is not told."""
        if metric not in self._metrics:
            return None
        since = row * PANES
        # As numbers of another kind these would have all keys copied.
        between = np.array((since + first, since + end), np.int32)
        start, stop = self._keys.searchsorted(between).tolist()
        values = self._values[self._metrics.index(metric), start:stop]
        keys, at = self._keys[start:stop], self._at[start:stop]
        untold = np.isnan(values)
        if untold.any():
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
            self._metrics,
            self._keys.tobytes(),
            self._at.tobytes(),
            self._values.tobytes(),
        )

    @classmethod
    def restore(cls, saved: SavedFew) -> Few:
        few = cls(saved.number)
        few.rows = Rows.restore(np.frombuffer(saved.codes, np.int64))
        few._told = np.frombuffer(saved.told, np.int64).copy()
        few._many = np.frombuffer(saved.many, np.bool_).copy()
        few._metrics = saved.metrics
        few._keys = np.frombuffer(saved.keys, np.int32)
        few._at = np.frombuffer(saved.at)
        few._values = np.frombuffer(saved.values).reshape(len(saved.metrics), len(few._keys))
        return few

    @classmethod
    def of_many(cls, number: float, codes: Ints) -> Few:
        """That of a block in which all series, of these ascending codes, are kept in panes."""
        few = cls(number)
        few.rows = Rows.restore(codes)
        few._told = np.zeros(len(codes), np.int64)
        few._many = np.ones(len(codes), np.bool_)
        return few

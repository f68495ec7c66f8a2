"""What became of many samples, a second at a time: their memory does not grow with their rate.

A pane is a second of event time of one series (a service, a pool, a request class). For each
metric it keeps count, sum, smallest, largest and newest value exactly, and the counts of the
buckets of `sketch.py`. **A sample counts as if it had happened at the end of its pane**: the pane
(k - 1, k] is in a window when `at - window < k <= at`. So a sample is seen, and forgotten, up to
a second late; windows of whole seconds always hold as many panes as seconds, so that rates have no
bias; and what happened after `at` is never in a window. Ages are those of the samples themselves.

Panes lie in blocks of 32 seconds, in which a few arrays hold a metric of all series: adding samples
costs a few numpy operations, whatever the number of series and of panes. Where they are few, the
samples themselves take less memory, and say the same (`few.py`). New samples wait until a
window is asked for or `MOST_WAITING` of them have come, and are then added one after the other in
order of arrival: neither that nor the cut into batches changes even the last digit of a sum.
"""

import math

import msgspec
import numpy as np

from poolwright.model.sample import Floats, Ids
from poolwright.signals.blocks import PANE_S, PANES, Block, SavedBlock
from poolwright.signals.few import MOST, Few, SavedFew
from poolwright.signals.parts import ManySamples, Part
from poolwright.signals.series import Owner, codes_between, codes_of, numbers_of
from poolwright.signals.sketch import Ints
from poolwright.signals.summary import Summary

MOST_WAITING = 16384


class SavedTable(msgspec.Struct, array_like=True):
    """All blocks for a checkpoint."""

    few: list[SavedFew]
    many: list[SavedBlock]


class PaneTable:
    """All panes of one kind of sample, with so many metrics; the first is always 1."""

    def __init__(self, metrics: int, *, most_few: int = MOST) -> None:
        self._most_few = most_few
        """Samples of a series in a block that are kept as they came."""
        self._few: dict[float, Few] = {}
        """By number, a block of all metrics."""
        self._blocks: tuple[dict[float, Block], ...] = tuple({} for _ in range(metrics))
        """Of each metric, by number."""
        self._waiting: list[tuple[Floats, Ids, Floats]] = []
        self._waits = 0

    @property
    def metrics(self) -> int:
        return len(self._blocks)

    def add(self, at: Floats, ids: Ids, values: Floats) -> None:
        """Samples in order of arrival; ids are (3, sample), values are (metric, sample).

        The ids are numbers of service, pool and class, below 2^21. A value is NaN where the sample
        does not tell it. The arrays are kept for a while and must not change.
        """
        if not len(at):
            return
        self._waiting.append((at, ids, values))
        self._waits += len(at)
        if self._waits > MOST_WAITING:
            self._settle()

    def _settle(self) -> None:
        if not self._waits:
            return
        at = np.concatenate([at for at, _, _ in self._waiting])
        codes = codes_of(np.concatenate([ids for _, ids, _ in self._waiting], axis=1))
        values = np.concatenate([values for _, _, values in self._waiting], axis=1)
        self._waiting.clear()
        self._waits = 0
        codes, series = np.unique(codes, return_inverse=True)
        panes = np.ceil(at / PANE_S) - 1.0
        numbers = np.floor(panes / PANES)
        different = np.unique(numbers).tolist()
        for number in different:
            pane = panes - number * PANES
            if len(different) == 1:
                self._put(number, codes, at, series, pane, values)
            else:
                mine = np.flatnonzero(numbers == number)
                self._put(number, codes, at[mine], series[mine], pane[mine], values[:, mine])

    def _put(
        self, number: float, codes: Ints, at: Floats, series: Ints, panes: Floats, values: Floats
    ) -> None:
        pane = panes.astype(np.int64)
        few = self._few.get(number)
        if few is None:
            few = self._few[number] = Few(number)
        row = few.rows.of(codes, series)
        if len(grown := few.count(row, self._most_few)):
            past_at, past_codes, past_pane, past = few.release(grown, self.metrics)
            past_codes, past_series = np.unique(past_codes, return_inverse=True)
            self._put_many(number, past_codes, past_at, past_series, past_pane, past)
        many = few.many(row)
        if many.all():
            self._put_many(number, codes, at, series, pane, values)
        elif many.any():
            self._put_many(number, codes, at[many], series[many], pane[many], values[:, many])
            few.add(at[~many], row[~many], pane[~many], values[:, ~many])
        else:
            few.add(at, row, pane, values)

    def _put_many(
        self, number: float, codes: Ints, at: Floats, series: Ints, pane: Ints, values: Floats
    ) -> None:
        untold = np.isnan(values)
        for metric, blocks in enumerate(self._blocks):
            if untold[metric].all():
                continue
            told: Ints | slice = slice(None)
            if untold[metric].any():
                told = np.flatnonzero(~untold[metric])
            block = blocks.get(number)
            if block is None:
                block = blocks[number] = Block(number)
            row = block.rows.of(codes, series[told])
            # Of what is always 1 each quantile is known.
            block.add(at[told], row, pane[told], values[metric, told], bucket=metric > 0)

    def evict(self, before: float) -> None:
        """Drops the blocks that end up to `before`."""
        for number in [n for n in self._few if (n + 1.0) * PANES * PANE_S <= before]:
            del self._few[number]
            for blocks in self._blocks:
                blocks.pop(number, None)

    def window(
        self, owner: Owner, request_class: int | None, metric: int, since: float, until: float
    ) -> Summary:
        """A metric over the panes with since < end <= until; of all classes for None."""
        self._settle()
        first, end = math.floor(since / PANE_S), math.floor(until / PANE_S)
        low, high = codes_between(owner, request_class)
        parts: list[Part] = []
        for number in sorted(self._few):
            start = int(number) * PANES
            from_pane, to_pane = max(first - start, 0), min(end - start, PANES)
            if from_pane >= to_pane:
                continue
            for code, row in self._few[number].rows.between(low, high):
                part = self._part(number, metric, code, row, from_pane, to_pane)
                if part is not None:
                    parts.append(part)
        return Summary(parts)

    def _part(
        self, number: float, metric: int, code: int, row: int, first: int, end: int
    ) -> Part | None:
        """A series in panes of a block; None where it does not tell the metric."""
        few = self._few[number]
        if not few.in_panes(row):
            return few.read(row, metric, first, end)
        block = self._blocks[metric].get(number)
        found = None if block is None else block.rows.find(code)
        if block is None or found is None:
            return None
        stats, first_key, end_key = block.read(found, first, end)
        first_end = PANE_S * (number * PANES + first + 1.0)
        return ManySamples(first_end, stats, block.cells, first_key, end_key)

    def newest(self, owner: Owner, until: float) -> float:
        """Event time of the newest sample in panes that end up to `until`; -inf of none."""
        self._settle()
        for number in sorted(self._few, reverse=True):
            since = number * PANES * PANE_S
            found = self.window(owner, None, 0, since, min(until, since + PANES * PANE_S)).newest
            if found > -np.inf:
                return found
        return -np.inf

    def numbers(self) -> set[int]:
        """Of services, pools and request classes."""
        self._settle()
        found: set[int] = set()
        return found.union(*(numbers_of(few.rows.codes()) for few in self._few.values()))

    def save(self) -> SavedTable:
        self._settle()
        return SavedTable(
            [few.save() for few in self._few.values()],
            [
                block.save(metric)
                for metric, blocks in enumerate(self._blocks)
                for block in blocks.values()
            ],
        )

    def restore(self, saved: SavedTable) -> None:
        self._waiting.clear()
        self._waits = 0
        self._few = {one.number: Few.restore(one) for one in saved.few}
        for blocks in self._blocks:
            blocks.clear()
        for one in saved.many:
            self._blocks[one.metric][one.number] = Block.restore(one)

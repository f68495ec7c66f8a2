"""What became of many samples, a second at a time: their memory does not grow with their rate.

A pane is a second of event time of one series (a service, a pool, a request class). For each
metric it keeps count, sum, smallest, largest and newest value exactly, and the counts of the
buckets of `sketch.py`. **A sample counts as if it had happened at the end of its pane**: the pane
(k - 1, k] is in a window when `at - window < k <= at`. So a sample is seen, and forgotten, up to
a second late; windows of whole seconds always hold as many panes as seconds, so that rates have no
bias; and what happened after `at` is never in a window. Ages are those of the samples themselves.

Panes lie in blocks of 32 seconds, in which a few arrays hold a metric of all series: adding samples
costs a few numpy operations, whatever the number of series and of panes. New samples wait until a
window is asked for or `MOST_WAITING` of them have come, and are then added one after the other in
order of arrival: neither that nor the cut into batches changes even the last digit of a sum.
"""

import math

import numpy as np

from poolwright.model.sample import Floats, Ids
from poolwright.signals.blocks import PANE_S, PANES, Block, SavedBlock
from poolwright.signals.series import Owner, codes_between, codes_of
from poolwright.signals.sketch import Ints
from poolwright.signals.summary import Part, Summary

MOST_WAITING = 16384


class PaneTable:
    """All panes of one kind of sample, with so many metrics; the first is always 1."""

    def __init__(self, metrics: int) -> None:
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
            row = block.rows_of(codes, series[told])
            # Of what is always 1 each quantile is known.
            block.add(at[told], row, pane[told], values[metric, told], bucket=metric > 0)

    def evict(self, before: float) -> None:
        """Drops the blocks that end up to `before`."""
        for blocks in self._blocks:
            for number in [n for n in blocks if (n + 1.0) * PANES * PANE_S <= before]:
                del blocks[number]

    def window(
        self, owner: Owner, request_class: int | None, metric: int, since: float, until: float
    ) -> Summary:
        """A metric over the panes with since < end <= until; of all classes for None."""
        self._settle()
        first, end = math.floor(since / PANE_S), math.floor(until / PANE_S)
        low, high = codes_between(owner, request_class)
        parts: list[Part] = []
        blocks = self._blocks[metric]
        for number in sorted(blocks):
            block, start = blocks[number], int(number) * PANES
            from_pane, to_pane = max(first - start, 0), min(end - start, PANES)
            if from_pane >= to_pane:
                continue
            for row in block.rows_between(low, high):
                stats, first_key, end_key = block.read(row, from_pane, to_pane)
                first_end = PANE_S * (start + from_pane + 1.0)
                parts.append(Part(first_end, stats, block.cells, first_key, end_key))
        return Summary(parts)

    def newest(self, owner: Owner, until: float) -> float:
        """Event time of the newest sample in panes that end up to `until`; -inf of none."""
        self._settle()
        for number in sorted(self._blocks[0], reverse=True):
            since = number * PANES * PANE_S
            found = self.window(owner, None, 0, since, min(until, since + PANES * PANE_S)).newest
            if found > -np.inf:
                return found
        return -np.inf

    def save(self) -> list[SavedBlock]:
        self._settle()
        return [
            block.save(metric)
            for metric, blocks in enumerate(self._blocks)
            for block in blocks.values()
        ]

    def restore(self, saved: list[SavedBlock]) -> None:
        self._waiting.clear()
        self._waits = 0
        for blocks in self._blocks:
            blocks.clear()
        for one in saved:
            self._blocks[one.metric][one.number] = Block.restore(one)

"""What became of many samples, a second at a time: their memory does not grow with their rate.

A pane is a second of event time of one series (a service, a pool, a request class). For each
metric it keeps count, sum, smallest, largest and newest value exactly, and the counts of the
buckets of `sketch.py`. **A sample counts as if it had happened at the end of its pane**: the pane
(k - 1, k] is in a window when `at - window < k <= at`. So a sample is seen, and forgotten, up to
a second late; windows of whole seconds always hold as many panes as seconds, so that rates have no
bias; and what happened after `at` is never in a window. Ages are those of the samples themselves.

Panes lie in blocks of 32 seconds, in which a few arrays hold all series: adding samples costs a
few numpy operations, whatever the number of series and of panes. New samples wait until a window is
asked for or `MOST_WAITING` of them have come, and are then added one after the other in order of
arrival: neither that nor the cut into batches changes even the last digit of a sum.
"""

import math

import numpy as np

from poolwright.model.sample import Floats, Ids
from poolwright.signals.blocks import PANES, Block, Key, Owner, SavedBlock
from poolwright.signals.cells import Cells
from poolwright.signals.sketch import Ints
from poolwright.signals.summary import Summary

PANE_S = 1.0
MOST_WAITING = 16384


class PaneTable:
    """All panes of one kind of sample, with so many metrics; the first counts the samples."""

    def __init__(self, metrics: int) -> None:
        self._metrics = metrics
        self._blocks: dict[float, Block] = {}
        self._waiting: list[tuple[Floats, Ids, Floats]] = []
        self._waits = 0

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
        ids = np.concatenate([ids for _, ids, _ in self._waiting], axis=1)
        values = np.concatenate([values for _, _, values in self._waiting], axis=1)
        self._waiting.clear()
        self._waits = 0
        series, number = _distinct(ids)
        panes = np.ceil(at / PANE_S) - 1.0
        numbers = np.floor(panes / PANES)
        for block_number in np.unique(numbers).tolist():
            block = self._blocks.get(block_number)
            if block is None:
                block = self._blocks[block_number] = Block(block_number, self._metrics)
            mine = np.flatnonzero(numbers == block_number)
            present, which = np.unique(number[mine], return_inverse=True)
            row = block.rows([series[i] for i in present.tolist()])[which]
            pane = (panes[mine] - block_number * PANES).astype(np.int64)
            block.add(at[mine], row, pane, values[:, mine])

    def evict(self, before: float) -> None:
        """Drops the blocks that end up to `before`."""
        for number in [n for n in self._blocks if (n + 1.0) * PANES * PANE_S <= before]:
            del self._blocks[number]

    def window(
        self, owner: Owner, request_class: int | None, metric: int, since: float, until: float
    ) -> Summary:
        """A metric over the panes with since < end <= until; of all classes for None."""
        self._settle()
        first, end = math.floor(since / PANE_S), math.floor(until / PANE_S)
        ends: list[Floats] = []
        stats: list[Floats] = []
        cells: list[tuple[Cells, int, int]] = []
        for number in sorted(self._blocks):
            block, start = self._blocks[number], int(number) * PANES
            from_pane, to_pane = max(first - start, 0), min(end - start, PANES)
            if from_pane >= to_pane:
                continue
            for key in block.owned.get(owner, ()):
                if request_class is None or key[2] == request_class:
                    found, low, high = block.read(key, metric, from_pane, to_pane)
                    ends.append(PANE_S * (start + np.arange(from_pane + 1.0, to_pane + 1.0)))
                    stats.append(found)
                    cells.append((block.cells, low, high))
        return Summary(ends, stats, cells)

    def newest(self, owner: Owner, until: float) -> float:
        """Event time of the newest sample in panes that end up to `until`; -inf of none."""
        self._settle()
        for number in sorted(self._blocks, reverse=True):
            since = number * PANES * PANE_S
            found = self.window(owner, None, 0, since, min(until, since + PANES * PANE_S)).newest
            if found > -np.inf:
                return found
        return -np.inf

    def save(self) -> list[SavedBlock]:
        self._settle()
        return [block.save() for block in self._blocks.values()]

    def restore(self, saved: list[SavedBlock]) -> None:
        self._waiting.clear()
        self._waits = 0
        self._blocks = {one.number: Block.restore(one, self._metrics) for one in saved}


def _distinct(ids: Ids) -> tuple[list[Key], Ints]:
    """The different columns of (3, samples), and which of them each sample has."""
    service, pool, request_class = ids.astype(np.int64)
    code = (service * (pool.max() + 1) + pool) * (request_class.max() + 1) + request_class
    _, first, number = np.unique(code, return_index=True, return_inverse=True)
    return [(a, b, c) for a, b, c in ids[:, first].T.tolist()], number

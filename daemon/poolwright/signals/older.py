"""Windows that an earlier version saved, as this one saves them: an update forgets nothing.

Format 3 had a block for all metrics of a kind of sample: its statistics were (six, series, metric,
pane), the key of a cell was the place there and the bucket, and counts were floats.
"""

from typing import Final

import msgspec
import numpy as np

from poolwright.model.sample import Bools
from poolwright.signals.blocks import BUCKET_BITS, COUNT, PANES, SavedBlock
from poolwright.signals.gauges import SavedSeries
from poolwright.signals.series import Key, codes_of

FORMAT: Final = 3


class OlderBlock(msgspec.Struct, array_like=True):
    """A block of format 3."""

    number: float
    series: list[Key]
    stats: bytes
    keys: bytes
    counts: bytes


class Older(msgspec.Struct):
    """Windows of format 3."""

    keep_s: float
    newest: list[dict[int, float]]
    late: int
    duplicates: int
    arrivals: list[OlderBlock]
    requests: list[OlderBlock]
    replicas: list[SavedSeries]


def by_metric(blocks: list[OlderBlock], metrics: int) -> list[SavedBlock]:
    """A block of each metric that a series of the block told."""
    split = [_of_metric(block, metric, metrics) for metric in range(metrics) for block in blocks]
    return [block for block in split if block.codes]


def _of_metric(block: OlderBlock, metric: int, metrics: int) -> SavedBlock:
    stats = np.frombuffer(block.stats).reshape(6, -1, metrics, PANES)[:, :, metric]
    told: Bools = (stats[COUNT] > 0).any(axis=1)
    codes = codes_of(np.array(block.series, np.int32).reshape(-1, 3).T)
    keys, counts = np.frombuffer(block.keys, np.int64)[:-1], np.frombuffer(block.counts)[:-1]
    row, place = np.divmod(keys, metrics * PANES << BUCKET_BITS)
    which, place = np.divmod(place, PANES << BUCKET_BITS)
    mine = which == metric
    row = (told.cumsum() - 1)[row[mine]]
    end = np.iinfo(np.int64).max
    return SavedBlock(
        metric,
        block.number,
        codes[told].tobytes(),
        stats[:, told].tobytes(),
        np.append(row * (PANES << BUCKET_BITS) + place[mine], end).tobytes(),
        np.append(counts[mine], 0).astype(np.uint32).tobytes(),
    )

"""Windows that earlier versions saved, as this one saves them: an update forgets nothing.

Format 4 had panes of every series, however little it told, and all columns of every replica.
Format 3 had a block for all metrics of a kind of sample: its statistics were (six, series, metric,
pane), the key of a cell was the place there and the bucket, and counts were floats.
"""

from typing import Final

import msgspec
import numpy as np

from poolwright.model.sample import Bools
from poolwright.signals.asked import Since
from poolwright.signals.blocks import BUCKET_BITS, COUNT, PANES, SavedBlock
from poolwright.signals.columns import Columns
from poolwright.signals.few import Few
from poolwright.signals.gauges import WIDTH, SavedSeries
from poolwright.signals.panes import SavedTable
from poolwright.signals.series import Key, codes_of
from poolwright.signals.sketch import Ints

FORMAT: Final = 4
ALL_METRICS: Final = 3
"""The format before."""


class OlderSeries(msgspec.Struct, array_like=True):
    """A replica's rows."""

    key: Key
    rows: bytes


class Older(msgspec.Struct):
    """Windows of format 4."""

    keep_s: float
    newest: list[dict[int, float]]
    late: int
    duplicates: int
    arrivals: list[SavedBlock]
    requests: list[SavedBlock]
    replicas: list[OlderSeries]
    asked: list[Since | None]


class OldestBlock(msgspec.Struct, array_like=True):
    """A block of format 3."""

    number: float
    series: list[Key]
    stats: bytes
    keys: bytes
    counts: bytes


class Oldest(msgspec.Struct):
    """Windows of format 3."""

    keep_s: float
    newest: list[dict[int, float]]
    late: int
    duplicates: int
    arrivals: list[OldestBlock]
    requests: list[OldestBlock]
    replicas: list[OlderSeries]


def decoded(data: bytes, written: int, metrics: tuple[int, int]) -> Older:
    """Windows of either format; so many metrics have arrivals and requests."""
    if written == FORMAT:
        return msgspec.msgpack.decode(data, type=Older)
    saved = msgspec.msgpack.decode(data, type=Oldest)
    return Older(
        saved.keep_s,
        saved.newest,
        saved.late,
        saved.duplicates,
        _by_metric(saved.arrivals, metrics[0]),
        _by_metric(saved.requests, metrics[1]),
        saved.replicas,
        [None, None],
    )


def table(blocks: list[SavedBlock]) -> SavedTable:
    """All that these series told is kept in panes, so it goes on there."""
    codes: dict[float, Ints] = {}
    for block in blocks:
        told = np.frombuffer(block.codes, np.int64)
        codes[block.number] = np.union1d(codes.get(block.number, told), told)
    return SavedTable([Few.of_many(number, codes[number]).save() for number in codes], blocks)


def series(saved: OlderSeries) -> SavedSeries:
    """The columns that the replica tells."""
    rows = np.frombuffer(saved.rows).reshape(-1, WIDTH)
    columns = Columns(WIDTH)
    columns.put(rows, range(WIDTH))
    return SavedSeries(saved.key, columns.told, columns.to_bytes())


def _by_metric(blocks: list[OldestBlock], metrics: int) -> list[SavedBlock]:
    """A block of each metric that a series of the block told."""
    split = [_of_metric(block, metric, metrics) for metric in range(metrics) for block in blocks]
    return [block for block in split if block.codes]


def _of_metric(block: OldestBlock, metric: int, metrics: int) -> SavedBlock:
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

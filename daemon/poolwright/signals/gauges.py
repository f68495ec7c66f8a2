"""Samples of replicas, kept as rows: one series a replica, few samples each.

A sample with the replica and time of an earlier one replaces it.
"""

from math import inf, isnan

import msgspec
import numpy as np

from poolwright.model.rule import SignalRule
from poolwright.model.sample import REPLICA_METRICS, Bools, Floats, ReplicaBatch
from poolwright.model.signal import Signal, Unhealthy
from poolwright.signals.columns import Columns
from poolwright.signals.series import Key, Owner
from poolwright.signals.statistics import across_replicas, counter_rate, statistic, total
from poolwright.signals.verdict import signal_of

WORK_MAX_AGE_S = 30.0
"""A replica whose newest sample is older is not asked what it has to do."""
WIDTH = 1 + len(REPLICA_METRICS)


class SavedSeries(msgspec.Struct, array_like=True):
    """A replica's rows for a checkpoint, of those columns that it tells."""

    key: Key
    told: list[int]
    rows: bytes


class GaugeTable:
    """All samples of all replicas; a key is service, pool and replica numbers."""

    def __init__(self) -> None:
        self._series: dict[Key, Columns] = {}
        self._by_pool: dict[Owner, list[Key]] = {}
        self._owners: dict[int, list[Owner]] = {}
        """By service, its pools."""
        self._asked: tuple[Owner, float, float] | None = None
        self._within: list[tuple[Columns, slice]] = []
        """The window that was asked for last, until the next change, and its rows by replica.

        The signals of a pool mostly ask for the same one.
        """

    def add(self, batch: ReplicaBatch, fresh: Bools) -> int:
        """Adds the fresh samples; returns how many replaced others."""
        if not fresh.any():
            return 0
        self._asked = None
        at = batch.at[fresh]
        keys = (batch.service[fresh], batch.pool[fresh], batch.replica[fresh])
        # By replica and time, those of the same time in order of arrival.
        order = np.lexsort((at, *keys[::-1]))
        at, keys = at[order], (keys[0][order], keys[1][order], keys[2][order])
        first = np.ones(len(at), dtype=np.bool_)
        first[1:] = (keys[0][1:] != keys[0][:-1]) | (keys[1][1:] != keys[1][:-1])
        first[1:] |= keys[2][1:] != keys[2][:-1]
        # The last to arrive replaces the others.
        stays = np.ones(len(at), dtype=np.bool_)
        stays[:-1] = first[1:] | (at[1:] != at[:-1])
        replaced = int(len(stays) - stays.sum())
        rows = np.column_stack((at, batch.values[fresh][order]))[stays]
        some = [0, *(1 + np.flatnonzero(~np.isnan(rows[:, 1:]).all(axis=0))).tolist()]
        starts = np.flatnonzero(first)
        ends = np.add.reduceat(stays, starts, dtype=np.int64).cumsum().tolist()
        found = zip(*(key[starts].tolist() for key in keys), strict=True)
        start = 0
        for key, end in zip(found, ends, strict=True):
            replaced += self._of(key).put(rows[start:end], some)
            start = end
        return replaced

    def _of(self, key: Key) -> Columns:
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Columns(WIDTH)
            self._note(key)
        return series

    def _note(self, key: Key) -> None:
        owner = key[:2]
        if owner not in self._by_pool:
            self._by_pool[owner] = []
            self._owners.setdefault(owner[0], []).append(owner)
        self._by_pool[owner].append(key)

    def evict(self, before: float) -> None:
        """Drops samples up to `before`, and replicas that have none left."""
        self._asked = None
        for key in [key for key, series in self._series.items() if not series.evict(before)]:
            self._by_pool[key[:2]].remove(key)
            del self._series[key]

    def _rows(self, owner: Owner, since: float, until: float) -> list[tuple[Columns, slice]]:
        """Of each replica of a pool the rows with since < at <= until."""
        asked = owner, since, until
        if asked != self._asked:
            replicas = [self._series[key] for key in self._by_pool.get(owner, ())]
            self._within = [(series, series.within(since, until)) for series in replicas]
            self._asked = asked
        return self._within

    def evaluate(self, rule: SignalRule, owner: Owner, at: float, expected: int) -> Signal:
        """The signal of a gauge of a pool: `stat` within each replica, then `across` them."""
        column = 1 + REPLICA_METRICS.index(rule.metric)
        replicas = self._rows(owner, at - rule.window_s, at)
        values: list[float] = []
        old: list[float] = []
        newest, samples = -inf, 0
        for series, rows in replicas:
            times, numbers = _told(series, rows, column, at - rule.window_s, at)
            if not len(times):
                continue
            last_at = float(times[-1])
            newest = max(newest, last_at)
            if at - last_at > rule.max_age_s:
                old.append(float(numbers[-1]))
                continue
            samples += len(times)
            if rule.stat == "rate" and rule.metric.endswith("_total"):
                values.append(counter_rate(times, numbers))
            else:
                values.append(statistic(rule.stat, times, numbers, rule.window_s))
        values = [value for value in values if not isnan(value)]
        shown = values or old
        value = across_replicas(rule.across or "sum", shown) if shown else None
        age_s = None if newest == -inf else at - newest
        why: Unhealthy | None = None
        if expected == 0 and not values:
            why = Unhealthy.IDLE
        elif age_s is None:
            why = Unhealthy.NO_SAMPLES if replicas else Unhealthy.NEVER_SEEN
        elif age_s > rule.max_age_s:
            why = Unhealthy.TOO_OLD
        elif len(values) < rule.quorum * max(expected, 1):
            why = Unhealthy.NO_QUORUM
        return signal_of(rule, why, value, age_s, samples, len(values), expected)

    def alive(self, rule: SignalRule, owner: Owner, at: float, expected: int) -> tuple[bool, bool]:
        """Whether the pool's replicas report with quorum, and whether they had no work at all."""
        since = at - max(rule.window_s, rule.max_age_s)
        reporting, work = 0, 0.0
        for series, rows in self._rows(owner, since, at):
            times = series.column(rows, 0)
            if len(times) and at - float(times[-1]) <= rule.max_age_s:
                reporting += 1
                # NaN stays NaN: a replica that does not say what it has is not idle.
                work += total(series.column(rows, 1)) + total(series.column(rows, 2))
        alive = expected == 0 or reporting >= rule.quorum * expected
        return alive, work == 0.0

    def work(self, service: int, at: float) -> tuple[float, float, int]:
        """(waiting, running, replicas that report), the newest sample of each fresh replica.

        NaN where one of them does not say.
        """
        waiting = running = 0.0
        reporting = 0
        for owner in self._owners.get(service, ()):
            for series, rows in self._rows(owner, at - WORK_MAX_AGE_S, at):
                if rows.start < rows.stop:
                    running += series.number(rows.stop - 1, 1)
                    waiting += series.number(rows.stop - 1, 2)
                    reporting += 1
        return waiting, running, reporting

    def newest(self, owner: Owner, at: float) -> list[tuple[int, Floats]]:
        """By replica number, the newest row (time, then REPLICA_METRICS) of each fresh replica."""
        found = []
        for key in self._by_pool.get(owner, ()):
            last = self._series[key].newest(at - WORK_MAX_AGE_S, at)
            if last is not None:
                found.append((key[2], last))
        return found

    def idle(self, service: int, at: float) -> bool:
        """Whether replicas of the service report, and all that do say that they have no work."""
        waiting, running, reporting = self.work(service, at)
        return reporting > 0 and waiting == 0.0 and running == 0.0

    def numbers(self) -> set[int]:
        """Of services, pools and replicas."""
        return {number for key in self._series for number in key}

    def save(self) -> list[SavedSeries]:
        return [
            SavedSeries(key, series.told, series.to_bytes()) for key, series in self._series.items()
        ]

    def restore(self, saved: list[SavedSeries]) -> None:
        self._series.clear()
        self._by_pool.clear()
        self._owners.clear()
        self._asked = None
        for one in saved:
            self._series[one.key] = Columns.from_bytes(WIDTH, one.told, one.rows)
            self._note(one.key)


def _told(
    series: Columns, rows: slice, column: int, since: float, until: float
) -> tuple[Floats, Floats]:
    """Times and numbers of the samples with since < at <= until (`rows`) that tell the column.

    The newest one before where there are none: a window may be shorter than the interval.
    """
    times, numbers = series.column(rows, 0), series.column(rows, column)
    if len(times) and not np.count_nonzero(np.isnan(numbers)):
        return times, numbers
    rows = series.within(-np.inf, until)
    times, numbers = series.column(rows, 0), series.column(rows, column)
    told = ~np.isnan(numbers)
    times, numbers = times[told], numbers[told]
    first = max(min(int(times.searchsorted(since, "right")), len(times) - 1), 0)
    return times[first:], numbers[first:]

"""Windows by event time, and the signals evaluated over them.

Samples are kept as numpy columns, one series per service (arrivals), pool (ended requests) and
replica (gauges), for as long as the longest window that the rules need. A sample more than
`LATENESS_S` behind the newest earlier sample of its service and kind is late: counted in `late`
and left out; within it neither the order of arrival nor the cut into batches matters. A sample
from the future makes no other late. A replica sample with the replica and time of an
earlier one replaces it; arrivals and requests have no identity, so each counts.
"""

from typing import Any

import msgspec
import numpy as np

from poolwright.model.names import NameTable
from poolwright.model.rule import RuleSet, SignalRule
from poolwright.model.sample import REPLICA_METRICS, Bools, Floats, Ids, SampleBatch
from poolwright.model.signal import Signal, SignalStatus, Unhealthy
from poolwright.signals.columns import Columns
from poolwright.signals.statistics import across_replicas, counter_rate, statistic

LATENESS_S = 30.0
DEMAND_WINDOW_S = 60.0
DEMAND_MAX_AGE_S = 30.0
MIN_KEEP_S = 120.0
FORMAT = 2
REQUEST_COLUMNS = {"input_tokens": 2, "output_tokens": 3, "ttft": 4, "itl": 5, "e2e": 6, "rate": 0}
"""Column of each request metric in a row: at, class, input and output tokens, ttft, itl, e2e."""
COUNTING = frozenset({"rate", "count", "sum"})

Key = tuple[int, int, int]
"""Service, pool and replica numbers; -1 where a series is not by pool or replica."""


class _Saved(msgspec.Struct):
    format: int
    keep_s: float
    newest: list[dict[int, float]]
    late: int
    duplicates: int
    series: list[tuple[str, Key, int, bytes]]


class WindowStore:
    """All windows of all services; buffers are reused from tick to tick."""

    def __init__(self, names: NameTable) -> None:
        self._names = names
        self._keep_s = MIN_KEEP_S
        self._newest: list[dict[int, float]] = [{}, {}, {}]
        """By service, for arrivals, requests and replica samples; never ahead of its tick."""
        self._arrivals: dict[Key, Columns] = {}
        self._requests: dict[Key, Columns] = {}
        self._replicas: dict[Key, Columns] = {}
        self._by_pool: dict[tuple[int, int], list[Key]] = {}
        self.late = 0
        self.duplicates = 0

    def configure(self, rules: RuleSet) -> None:
        """Keeps what the rules' windows need from now on; nothing that is kept is lost."""
        windows = [
            max(rule.window_s, rule.max_age_s)
            for service in rules.services
            for rule in service.signals
        ]
        self._keep_s = max([MIN_KEEP_S, *(window + LATENESS_S for window in windows)])

    # --- in --------------------------------------------------------------------------------

    def ingest(self, batch: SampleBatch, *, at: float) -> None:
        """Adds a batch. Samples from after `at` wait in the windows until their time has come."""
        arrivals, requests, replicas = batch.arrivals, batch.requests, batch.replicas
        fresh = self._fresh(self._newest[0], arrivals.at, arrivals.service, at)
        self._add(
            self._arrivals,
            np.column_stack((arrivals.at, arrivals.request_class, arrivals.input_tokens))[fresh],
            (arrivals.service[fresh],),
        )
        fresh = self._fresh(self._newest[1], requests.at, requests.service, at)
        rows = np.column_stack(
            (
                requests.at,
                requests.request_class,
                requests.input_tokens,
                requests.output_tokens,
                requests.ttft_s,
                requests.itl_s,
                requests.e2e_s,
            )
        )
        self._add(self._requests, rows[fresh], (requests.service[fresh], requests.pool[fresh]))
        fresh = self._fresh(self._newest[2], replicas.at, replicas.service, at)
        self._add(
            self._replicas,
            np.column_stack((replicas.at, replicas.values))[fresh],
            (replicas.service[fresh], replicas.pool[fresh], replicas.replica[fresh]),
        )

    def _fresh(self, newest: dict[int, float], at: Floats, service: Ids, now: float) -> Bools:
        """Which samples are not late, in order of arrival; moves `newest` of their services."""
        keep = np.ones(len(at), dtype=np.bool_)
        for number in np.unique(service).tolist():
            mine = service == number
            times = at[mine]
            # A clock that runs ahead must not make the samples of all the others late.
            seen = np.maximum.accumulate(np.minimum(times, now))
            seen = np.maximum(seen, newest.get(number, -np.inf))
            newest[number] = float(seen[-1])
            keep[mine] = times >= seen - LATENESS_S
        self.late += int(len(keep) - keep.sum())
        return keep

    def _add(self, table: dict[Key, Columns], rows: Any, keys: tuple[Ids, ...]) -> None:
        if not len(rows):
            return
        order = np.lexsort(keys[::-1])
        sorted_keys = [key[order] for key in keys]
        change = np.zeros(len(order), dtype=np.bool_)
        change[0] = True
        for key in sorted_keys:
            change[1:] |= key[1:] != key[:-1]
        starts = np.flatnonzero(change).tolist()
        rows = rows[order]
        for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
            found = [int(key[start]) for key in sorted_keys]
            service, pool, replica = (*found, -1, -1)[:3]
            series = table.get((service, pool, replica))
            if series is None:
                series = table[service, pool, replica] = Columns(rows.shape[1])
                if table is self._replicas:
                    self._by_pool.setdefault((service, pool), []).append((service, pool, replica))
            if table is self._replicas:
                self.duplicates += series.put(rows[start:end])
            else:
                series.append(rows[start:end])

    def advance(self, at: float) -> None:
        """Forgets what no window can reach any more."""
        before = at - self._keep_s
        for table in (self._arrivals, self._requests, self._replicas):
            for key in [key for key, series in table.items() if not series.evict(before)]:
                if table is self._replicas:
                    self._by_pool[key[:2]].remove(key)
                    del table[key]

    # --- out -------------------------------------------------------------------------------

    def evaluate(
        self, rule: SignalRule, *, service: str, pool: str, at: float, expected_replicas: int
    ) -> Signal:
        """The signal of a pool at an instant. Latencies in seconds, rates a second."""
        service_id, pool_id = self._names.find(service), self._names.find(pool)
        if rule.builtin:
            return self._demand(rule, service_id, at)
        if rule.metric in REPLICA_METRICS:
            return self._gauge(rule, (service_id, pool_id), at, expected_replicas)
        if rule.metric in REQUEST_COLUMNS:
            return self._request(rule, (service_id, pool_id), at, expected_replicas)
        return self._arrival(rule, service_id, at)

    def _replica_series(self, where: tuple[int | None, int | None]) -> list[Columns]:
        service, pool = where
        if service is None or pool is None:
            return []
        return [self._replicas[key] for key in self._by_pool.get((service, pool), ())]

    def _gauge(
        self, rule: SignalRule, where: tuple[int | None, int | None], at: float, expected: int
    ) -> Signal:
        column = 1 + REPLICA_METRICS.index(rule.metric)
        values: list[float] = []
        old: list[float] = []
        newest, samples = -np.inf, 0
        for series in self._replica_series(where):
            rows = series.within(-np.inf, at)
            rows = rows[~np.isnan(rows[:, column])]
            if not len(rows):
                continue
            last_at = float(rows[-1, 0])
            newest = max(newest, last_at)
            if at - last_at > rule.max_age_s:
                old.append(float(rows[-1, column]))
                continue
            within = rows[rows[:, 0] > at - rule.window_s]
            # A window shorter than the sampling interval still has the newest sample.
            within = within if len(within) else rows[rows[:, 0] == last_at]
            samples += len(within)
            if rule.stat == "rate" and rule.metric.endswith("_total"):
                values.append(counter_rate(within[:, 0], within[:, column]))
            else:
                values.append(statistic(rule.stat, within[:, 0], within[:, column], rule.window_s))
        values = [value for value in values if not np.isnan(value)]
        shown = values or old
        value = across_replicas(rule.across or "sum", shown) if shown else None
        age_s = None if newest == -np.inf else at - newest
        why: Unhealthy | None = None
        if expected == 0 and not values:
            why = Unhealthy.IDLE
        elif age_s is None:
            seen = bool(self._replica_series(where))
            why = Unhealthy.NO_SAMPLES if seen else Unhealthy.NEVER_SEEN
        elif age_s > rule.max_age_s:
            why = Unhealthy.TOO_OLD
        elif len(values) < rule.quorum * max(expected, 1):
            why = Unhealthy.NO_QUORUM
        return _signal(rule, why, value, age_s, samples, len(values), expected)

    def _alive(
        self, where: tuple[int | None, int | None], rule: SignalRule, at: float, expected: int
    ) -> tuple[bool, bool]:
        """Whether the pool's replicas report with quorum, and whether they had no work at all."""
        since = at - max(rule.window_s, rule.max_age_s)
        reporting, work = 0, 0.0
        for series in self._replica_series(where):
            rows = series.within(since, at)
            if len(rows) and at - float(rows[-1, 0]) <= rule.max_age_s:
                reporting += 1
                # NaN stays NaN: a replica that does not say what it has is not idle.
                work += float(rows[:, 1:3].sum())
        alive = expected == 0 or reporting >= rule.quorum * expected
        return alive, work == 0.0

    def _request(
        self, rule: SignalRule, where: tuple[int | None, int | None], at: float, expected: int
    ) -> Signal:
        key = (-1 if where[0] is None else where[0], -1 if where[1] is None else where[1], -1)
        series = self._requests.get(key)
        rows = np.empty((0, 7)) if series is None else series.within(at - rule.window_s, at)
        rows = self._of_class(rule, rows)
        column = REQUEST_COLUMNS[rule.metric]
        rows = rows[~np.isnan(rows[:, column])]
        age_s = at - float(rows[-1, 0]) if len(rows) else None
        stat = "rate" if rule.metric == "rate" else rule.stat
        alive = idle = False
        if not len(rows):
            alive, idle = self._alive(where, rule, at, expected)
        if stat in COUNTING:
            why = None if len(rows) or (alive and expected > 0) else Unhealthy.NO_SAMPLES
            why = Unhealthy.IDLE if why is not None and expected == 0 else why
        elif not len(rows):
            why = Unhealthy.IDLE if alive and idle else Unhealthy.NO_SAMPLES
        else:
            why = None
        if why is None:
            weights = np.ones(len(rows)) if rule.metric == "rate" else rows[:, column]
            value = statistic(stat, rows[:, 0], weights, rule.window_s)
            return _signal(rule, None, value, age_s, len(rows), 0, expected)
        return _signal(rule, why, None, age_s, len(rows), 0, expected)

    def _of_class(self, rule: SignalRule, rows: Floats) -> Floats:
        if rule.request_class is None:
            return rows
        number = self._names.find(rule.request_class)
        wanted: Floats = rows[rows[:, 1] == (-1 if number is None else number)]
        return wanted

    def _arrival(self, rule: SignalRule, service: int | None, at: float) -> Signal:
        series = self._arrivals.get((-1 if service is None else service, -1, -1))
        if series is None:
            return _signal(rule, Unhealthy.NEVER_SEEN, None, None, 0, 0, 0)
        rows = series.within(at - rule.window_s, at)
        last = series.within(-np.inf, at)[-1:, 0]
        age_s = float(at - last[0]) if len(last) else None
        rows = self._of_class(rule, rows)
        if rule.metric == "arrival_tokens":
            rows = rows[~np.isnan(rows[:, 2])]
        if (age_s is None or age_s > rule.max_age_s) and not self._idle(service, at):
            # A silent gateway and a service without requests look alike, but for the replicas.
            return _signal(rule, Unhealthy.TOO_OLD, None, age_s, len(rows), 0, 0)
        if not len(rows) and rule.stat not in COUNTING:
            return _signal(rule, Unhealthy.NO_SAMPLES, None, age_s, 0, 0, 0)
        weights = np.ones(len(rows)) if rule.metric == "arrivals" else rows[:, 2]
        value = statistic(rule.stat, rows[:, 0], weights, rule.window_s)
        return _signal(rule, None, value, age_s, len(rows), 0, 0)

    def _idle(self, service: int | None, at: float) -> bool:
        """Whether replicas of the service report, and all that do say that they have no work."""
        waiting, running, reporting = self._work(-1 if service is None else service, at)
        return reporting > 0 and waiting == 0.0 and running == 0.0

    def _demand(self, rule: SignalRule, service: int | None, at: float) -> Signal:
        number = -1 if service is None else service
        series = self._arrivals.get((number, -1, -1))
        waiting, _, reporting = self._work(number, at)
        if series is None:
            return _signal(rule, Unhealthy.NEVER_SEEN, None, None, 0, reporting, 0)
        rows = series.within(at - DEMAND_WINDOW_S, at)
        value = len(rows) / DEMAND_WINDOW_S
        value += 0.0 if np.isnan(waiting) else waiting / DEMAND_WINDOW_S
        age_s = at - float(rows[-1, 0]) if len(rows) else None
        if age_s is not None and age_s <= DEMAND_MAX_AGE_S:
            return _signal(rule, None, value, age_s, len(rows), reporting, 0)
        if self._idle(service, at):
            return _signal(rule, None, value, age_s, len(rows), reporting, 0)
        return _signal(rule, Unhealthy.TOO_OLD, None, age_s, len(rows), reporting, 0)

    def _work(self, service: int, at: float) -> tuple[float, float, int]:
        """(waiting, running, replicas that report), the newest sample of each fresh replica.

        NaN where one of them does not say.
        """
        waiting = running = 0.0
        reporting = 0
        for (owner, _), keys in self._by_pool.items():
            if owner != service:
                continue
            for key in keys:
                rows = self._replicas[key].within(at - DEMAND_MAX_AGE_S, at)
                if len(rows):
                    last = rows[-1]
                    running += float(last[1])
                    waiting += float(last[2])
                    reporting += 1
        return waiting, running, reporting

    # --- checkpoint ------------------------------------------------------------------------

    def dump(self) -> bytes:
        """Everything, for a checkpoint."""
        tables = {"a": self._arrivals, "q": self._requests, "r": self._replicas}
        series = [
            (kind, key, columns.width, columns.to_bytes())
            for kind, table in tables.items()
            for key, columns in table.items()
        ]
        return msgspec.msgpack.encode(
            _Saved(FORMAT, self._keep_s, self._newest, self.late, self.duplicates, series)
        )

    def load(self, data: bytes) -> None:
        """The inverse of `dump`. Raises msgspec.ValidationError for another format."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        if saved.format != FORMAT:
            msg = f"windows of format {saved.format}, this version reads {FORMAT}"
            raise msgspec.ValidationError(msg)
        self._keep_s, self._newest = saved.keep_s, saved.newest
        self.late, self.duplicates = saved.late, saved.duplicates
        tables = {"a": self._arrivals, "q": self._requests, "r": self._replicas}
        self._by_pool.clear()
        for table in tables.values():
            table.clear()
        for kind, key, width, rows in saved.series:
            tables[kind][key] = Columns.from_bytes(width, rows)
            if kind == "r":
                self._by_pool.setdefault(key[:2], []).append(key)


def _signal(
    rule: SignalRule,
    why: Unhealthy | None,
    value: float | None,
    age_s: float | None,
    samples: int,
    reporting: int,
    expected: int,
) -> Signal:
    match why:
        case None:
            status = SignalStatus.FRESH
        case Unhealthy.TOO_OLD:
            status = SignalStatus.STALE
        case _:
            status = SignalStatus.MISSING
    return Signal(
        rule.name,
        status,
        value if why is None else None,
        age_s,
        samples,
        reporting,
        expected,
        why,
        None if why is None else value,
    )

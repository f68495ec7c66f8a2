"""Windows by event time, and the signals evaluated over them.

Arrivals (by service) and ended requests (by pool) are kept as panes with sketches (`panes.py`),
replica gauges as rows (`gauges.py`), all for as long as the longest window that the rules need. A
sample more than `LATENESS_S` behind the newest earlier sample of its service and kind is late:
counted in `late` and left out; within it neither the order of arrival nor the cut into batches
matters. A sample from the future makes no other late. Arrivals and requests have no identity, so
each counts.
"""

import itertools

import msgspec
import numpy as np

from poolwright.model.names import NameTable
from poolwright.model.rule import RuleSet, SignalRule
from poolwright.model.sample import (
    REPLICA_METRICS,
    ArrivalBatch,
    Bools,
    Floats,
    Ids,
    RequestBatch,
    SampleBatch,
)
from poolwright.model.signal import Signal, Unhealthy
from poolwright.signals import older
from poolwright.signals.asked import Asked, Since
from poolwright.signals.blocks import PANE_S
from poolwright.signals.gauges import GaugeTable, SavedSeries
from poolwright.signals.panes import PaneTable, SavedTable
from poolwright.signals.summary import Summary
from poolwright.signals.verdict import signal_of

LATENESS_S = 30.0
DEMAND_WINDOW_S = 60.0
DEMAND_MAX_AGE_S = 30.0
MIN_KEEP_S = 120.0
FORMAT = 5
REQUEST_METRICS = ("rate", "input_tokens", "output_tokens", "ttft", "itl", "e2e")
"""Metrics of the panes of requests; `rate` counts them."""
ARRIVAL_METRICS = ("arrivals", "arrival_tokens")
COUNTING = frozenset({"rate", "count", "sum"})
_UNSEEN = -1
"""The number of a name that has not been seen."""
_NO_POOL = np.int32(0)
"""The pool of arrivals, which belong to a service."""


class _Saved(msgspec.Struct):
    format: int
    keep_s: float
    newest: list[dict[int, float]]
    late: int
    duplicates: int
    arrivals: SavedTable
    requests: SavedTable
    replicas: list[SavedSeries]
    asked: list[Since | None]


class _Format(msgspec.Struct):
    format: int


class WindowStore:
    """All windows of all services; buffers are reused from tick to tick."""

    def __init__(self, names: NameTable) -> None:
        self._names = names
        self._keep_s = MIN_KEEP_S
        self._newest: list[dict[int, float]] = [{}, {}, {}]
        """By service, for arrivals, requests and replica samples; never ahead of its tick."""
        self._arrivals = PaneTable(len(ARRIVAL_METRICS))
        self._requests = PaneTable(len(REQUEST_METRICS))
        self._replicas = GaugeTable()
        self._asked = [
            Asked(names, ARRIVAL_METRICS, frozenset({"arrivals"})),
            Asked(names, REQUEST_METRICS, frozenset()),
        ]
        """Of arrivals, which `demand` always counts, and requests."""
        self._asker: tuple[int, float] | None = None
        self._told: dict[SignalRule, Signal] = {}
        """What was told of a service last, and when, until the next change: each of its pools asks
        for the same."""
        self.late = 0
        self.duplicates = 0

    def configure(self, rules: RuleSet) -> None:
        """Keeps what the rules' windows need from now on; nothing that is kept is lost."""
        self._asker = None
        windows = [
            max(rule.window_s, rule.max_age_s)
            for service in rules.services
            for rule in service.signals
        ]
        self._keep_s = max([MIN_KEEP_S, *(window + LATENESS_S for window in windows)])
        for asked, newest in zip(self._asked, self._newest[:2], strict=True):
            asked.use(rules, newest)

    # --- in --------------------------------------------------------------------------------

    def ingest(self, batch: SampleBatch, *, at: float) -> None:
        """Adds a batch. Samples from after `at` wait in the windows until their time has come."""
        self._asker = None
        arrivals, requests, replicas = batch.arrivals, batch.requests, batch.replicas
        self._add_arrivals(arrivals, self._fresh(0, arrivals.at, arrivals.service, at))
        self._add_requests(requests, self._fresh(1, requests.at, requests.service, at))
        fresh = self._fresh(2, replicas.at, replicas.service, at)
        self.duplicates += self._replicas.add(replicas, fresh)

    def _fresh(self, kind: int, at: Floats, service: Ids, now: float) -> Bools:
        """Which samples are not late, in order of arrival; moves `newest` of their services."""
        newest = self._newest[kind]
        fresh = np.ones(len(at), dtype=np.bool_)
        if not len(at):
            return fresh
        order = service.argsort(kind="stable")
        sorted_at, sorted_service = at[order], service[order]
        edges = np.flatnonzero(sorted_service[1:] != sorted_service[:-1]) + 1
        for start, end in itertools.pairwise((0, *edges.tolist(), len(at))):
            number = int(sorted_service[start])
            times = sorted_at[start:end]
            # A clock that runs ahead must not make the samples of all the others late.
            seen = np.maximum.accumulate(np.minimum(times, now))
            seen = np.maximum(seen, newest.get(number, -np.inf))
            newest[number] = float(seen[-1])
            fresh[start:end] = times >= seen - LATENESS_S
        self.late += len(fresh) - int(np.count_nonzero(fresh))
        keep = np.empty_like(fresh)
        keep[order] = fresh
        return keep

    def _add_arrivals(self, batch: ArrivalBatch, fresh: Bools) -> None:
        count = len(batch.at)
        ids = np.stack((batch.service, np.full(count, _NO_POOL), batch.request_class))
        values = np.stack((np.ones(count), batch.input_tokens))
        self._add(0, batch.at, ids, values, fresh)

    def _add_requests(self, batch: RequestBatch, fresh: Bools) -> None:
        ids = np.stack((batch.service, batch.pool, batch.request_class))
        values = np.stack(
            (
                np.ones(len(batch.at)),
                batch.input_tokens,
                batch.output_tokens,
                batch.ttft_s,
                batch.itl_s,
                batch.e2e_s,
            )
        )
        self._add(1, batch.at, ids, values, fresh)

    def _add(self, kind: int, at: Floats, ids: Ids, values: Floats, fresh: Bools) -> None:
        if len(at):
            keep = fresh & self._asked[kind].keep(ids[0], values)
            table = (self._arrivals, self._requests)[kind]
            if keep.all():
                table.add(at, ids, values)
            else:
                table.add(at[keep], ids[:, keep], values[:, keep])

    def advance(self, at: float) -> None:
        """Forgets what no window can reach any more."""
        self._asker = None
        before = at - self._keep_s
        self._arrivals.evict(before)
        self._requests.evict(before)
        self._replicas.evict(before)

    # --- out -------------------------------------------------------------------------------

    def evaluate(
        self, rule: SignalRule, *, service: str, pool: str, at: float, expected_replicas: int
    ) -> Signal:
        """The signal of a pool at an instant. Latencies in seconds, rates a second."""
        service_id = self._number(service)
        if rule.builtin or rule.metric in ARRIVAL_METRICS:
            return self._of_service(rule, service_id, at)
        owner = (service_id, self._number(pool))
        if rule.metric in REPLICA_METRICS:
            return self._replicas.evaluate(rule, owner, at, expected_replicas)
        return self._request(rule, owner, at, expected_replicas)

    def _of_service(self, rule: SignalRule, service: int, at: float) -> Signal:
        if self._asker != (service, at):
            self._asker, self._told = (service, at), {}
        found = self._told.get(rule)
        if found is None:
            tell = self._demand if rule.builtin else self._arrival
            found = self._told[rule] = tell(rule, service, at)
        return found

    def asked_at(self, service: str) -> float | None:
        """When the newest request of the service came or ended, as far as telemetry tells."""
        number = self._number(service)
        known = [at for newest in self._newest[:2] if (at := newest.get(number)) is not None]
        return max(known, default=None)

    def newest_gauges(self, service: str, pool: str, at: float) -> list[tuple[str, list[float]]]:
        """Replicas of a pool that reported lately, each with time and REPLICA_METRICS of then."""
        found = self._replicas.newest((self._number(service), self._number(pool)), at)
        return [(self._names.name(replica), row.tolist()) for replica, row in found]

    def _number(self, name: str) -> int:
        number = self._names.find(name)
        return _UNSEEN if number is None else number

    def _window(
        self, table: PaneTable, owner: tuple[int, int], metric: int, rule: SignalRule, at: float
    ) -> tuple[Summary, float]:
        """What the rule asks of, and its length in seconds: a window is no shorter than a pane."""
        only = None if rule.request_class is None else self._number(rule.request_class)
        window_s = max(rule.window_s, PANE_S)
        return table.window(owner, only, metric, at - window_s, at), window_s

    def _request(
        self, rule: SignalRule, owner: tuple[int, int], at: float, expected: int
    ) -> Signal:
        metric = REQUEST_METRICS.index(rule.metric)
        found, window_s = self._window(self._requests, owner, metric, rule, at)
        samples = found.count
        age_s = at - found.newest if samples else None
        stat = "rate" if rule.metric == "rate" else rule.stat
        alive = idle = False
        if not samples:
            alive, idle = self._replicas.alive(rule, owner, at, expected)
        if stat in COUNTING:
            why = None if samples or (alive and expected > 0) else Unhealthy.NO_SAMPLES
            why = Unhealthy.IDLE if why is not None and expected == 0 else why
            if why is None and self._asked[1].missed(owner[0], rule.metric, at - window_s):
                why = Unhealthy.NO_SAMPLES
        elif not samples:
            why = Unhealthy.IDLE if alive and idle else Unhealthy.NO_SAMPLES
        else:
            why = None
        value = found.statistic(stat, window_s) if why is None else None
        return signal_of(rule, why, value, age_s, samples, 0, expected)

    def _arrival(self, rule: SignalRule, service: int, at: float) -> Signal:
        if service not in self._newest[0]:
            return signal_of(rule, Unhealthy.NEVER_SEEN, None, None, 0, 0, 0)
        metric = ARRIVAL_METRICS.index(rule.metric)
        found, window_s = self._window(self._arrivals, (service, int(_NO_POOL)), metric, rule, at)
        samples = found.count
        last_at = self._arrivals.newest((service, int(_NO_POOL)), at)
        age_s = at - last_at if last_at > -np.inf else None
        if (age_s is None or age_s > rule.max_age_s) and not self._replicas.idle(service, at):
            # A silent gateway and a service without requests look alike, but for the replicas.
            return signal_of(rule, Unhealthy.TOO_OLD, None, age_s, samples, 0, 0)
        missed = self._asked[0].missed(service, rule.metric, at - window_s)
        if missed if rule.stat in COUNTING else not samples:
            return signal_of(rule, Unhealthy.NO_SAMPLES, None, age_s, samples, 0, 0)
        value = found.statistic(rule.stat, window_s)
        return signal_of(rule, None, value, age_s, samples, 0, 0)

    def _demand(self, rule: SignalRule, service: int, at: float) -> Signal:
        waiting, _, reporting = self._replicas.work(service, at)
        if service not in self._newest[0]:
            return signal_of(rule, Unhealthy.NEVER_SEEN, None, None, 0, reporting, 0)
        found = self._arrivals.window((service, int(_NO_POOL)), None, 0, at - DEMAND_WINDOW_S, at)
        samples = found.count
        value = samples / DEMAND_WINDOW_S
        value += 0.0 if np.isnan(waiting) else waiting / DEMAND_WINDOW_S
        age_s = at - found.newest if samples else None
        fresh = age_s is not None and age_s <= DEMAND_MAX_AGE_S
        why = None if fresh or self._replicas.idle(service, at) else Unhealthy.TOO_OLD
        return signal_of(rule, why, value, age_s, samples, reporting, 0)

    # --- names -----------------------------------------------------------------------------

    def numbers(self) -> set[int]:
        """The numbers of all names that something here is about."""
        found = self._arrivals.numbers() | self._requests.numbers() | self._replicas.numbers()
        return found.union(*self._newest)

    # --- checkpoint ------------------------------------------------------------------------

    def dump(self) -> bytes:
        """Everything, for a checkpoint."""
        return msgspec.msgpack.encode(
            _Saved(
                FORMAT,
                self._keep_s,
                self._newest,
                self.late,
                self.duplicates,
                self._arrivals.save(),
                self._requests.save(),
                self._replicas.save(),
                [asked.since for asked in self._asked],
            )
        )

    def load(self, data: bytes) -> None:
        """The inverse of `dump`. Raises msgspec.ValidationError for an unknown format."""
        written = msgspec.msgpack.decode(data, type=_Format).format
        if written == FORMAT:
            saved = msgspec.msgpack.decode(data, type=_Saved)
        elif written in {older.FORMAT, older.ALL_METRICS}:
            metrics = self._arrivals.metrics, self._requests.metrics
            saved = _upgraded(older.decoded(data, written, metrics))
        else:
            msg = f"windows of format {written}, this version reads {older.ALL_METRICS} to {FORMAT}"
            raise msgspec.ValidationError(msg)
        self._asker = None
        self._keep_s, self._newest = saved.keep_s, saved.newest
        self.late, self.duplicates = saved.late, saved.duplicates
        self._arrivals.restore(saved.arrivals)
        self._requests.restore(saved.requests)
        self._replicas.restore(saved.replicas)
        for asked, since in zip(self._asked, saved.asked, strict=True):
            asked.restore(since)


def _upgraded(saved: older.Older) -> _Saved:
    return _Saved(
        FORMAT,
        saved.keep_s,
        saved.newest,
        saved.late,
        saved.duplicates,
        older.table(saved.arrivals),
        older.table(saved.requests),
        [older.series(one) for one in saved.replicas],
        saved.asked,
    )

"""What is learned of one pool: its speed, its batch, its start-ups, and how right the model was."""

import math
from collections import Counter
from typing import Final

import numpy as np

from poolwright.capacity import narrow
from poolwright.capacity.batch import BatchLimit
from poolwright.capacity.calibration import OF_ALL, Calibration
from poolwright.capacity.comparing import named
from poolwright.capacity.drift import Drift
from poolwright.capacity.ended import EndedTimes
from poolwright.capacity.paces import Paces
from poolwright.capacity.speed import PRIOR, Speed, SpeedEstimator
from poolwright.capacity.startup import StartupTimes
from poolwright.model.names import NameTable
from poolwright.model.rule import ClassRule, PoolRule
from poolwright.model.sample import Bools, Floats, Index, ReplicaBatch, RequestBatch

READY_S: Final = 1200
"""How long back ready replicas and needs are known, for requests that ended since."""
BLOCK_S: Final = 10
REFIT_S: Final = 30.0
FRESH_S: Final = 30.0
EARLY_REQUESTS: Final = 10
LATENT: Final = 0.9
"""A prompt whose own prefill takes more of the SLO than this is missed at any count."""


class PoolLearner:
    """What is learned of one pool."""

    __slots__ = ("batch", "calibration", "drift", "early_ended", "early_missed", "ended", "felt",
                 "felt_at", "gauges", "grown_at", "leading", "outcomes", "paces", "ready",
                 "ready_at", "refitted_at", "short", "speed", "startups",
                 "strictest")  # fmt: skip

    def __init__(self, pool: PoolRule) -> None:
        self.speed = SpeedEstimator(declared_speed(pool))
        self.calibration = Calibration()
        self.startups = StartupTimes()
        self.drift = Drift()
        self.paces = Paces()
        self.batch = BatchLimit()
        self.gauges: dict[int, tuple[float, float, float]] = {}
        """By replica: when it last reported, running, waiting."""
        self.ready = narrow.zeros(READY_S)
        self.felt = np.zeros(READY_S, dtype=np.float32)
        """By second, what was ready, and what its arrivals need (infinite: nobody can tell)."""
        self.short = False
        """Whether what came in was too much, and what it left still queues."""
        self.ready_at: int | None = None
        self.felt_at: int | None = None
        """The newest seconds of the two."""
        self.outcomes: list[tuple[str, float, Floats]] = []
        """Class, attainment asked for; when requests came and ended and whether they missed it."""
        self.leading = "", 0.0
        """The class whose objective needs most at this instant so far, and how much."""
        self.strictest = ""
        """The one of the instant before."""
        self.refitted_at = -math.inf
        self.grown_at = -math.inf
        """Since when so many replicas are ready as now, or fewer."""
        self.early_ended = 0
        self.early_missed = 0
        """Before the speed is learned: of the requests that came since then, what ended so far."""
        self.ended: dict[str, EndedTimes] = {}
        """By class, how long requests took lately; only where an accelerator has run that
        is compared by it."""

    def gauge(self, batch: ReplicaBatch, mine: Bools) -> None:
        """Takes the newest running and waiting of each replica."""
        running, waiting = batch.values[mine, 0], batch.values[mine, 1]
        rows = zip(batch.replica[mine].tolist(), batch.at[mine].tolist(), running.tolist(),
                   waiting.tolist(), strict=True)  # fmt: skip
        for replica, at, runs, waits in rows:
            known = self.gauges.get(replica)
            if known is None or at >= known[0]:
                self.gauges[replica] = (at, runs, waits)
                self.batch.observe(replica, at, runs, waits)

    def replicas(self) -> set[int]:
        """The numbers of those that something is known of."""
        return (
            self.speed.replicas() | set(self.gauges) | set(self.paces.slow) | self.batch.replicas()
        )

    def note_ready(self, at: float, ready: int) -> None:
        """Keeps how many are ready, for the seconds since it was last told too."""
        second = int(at)
        if self.ready_at is None or ready > self.ready[self.ready_at % READY_S]:
            self.grown_at, self.early_ended, self.early_missed = at, 0, 0
        since = second - 1 if self.ready_at is None else max(self.ready_at, second - READY_S)
        seconds = np.arange(since + 1, second + 1) % READY_S
        self.ready = narrow.put(self.ready, seconds, ready)
        self.ready_at = second

    def note_felt(
        self, at: float, felt: Floats, stay_s: float, *, queued: bool, request_class: str
    ) -> None:
        """Keeps what the arrivals of each second needed; the newest are known only in part yet.

        Of the objectives of several classes at one instant the largest need counts. While a queue
        is left of a shortage, nothing can be told of those who came: infinite.
        """
        second = int(at)
        again = self.felt_at == second
        need = float(felt[-BLOCK_S:].sum())
        if not again:
            self.strictest = self.leading[0]
        if not again or need > self.leading[1]:
            self.leading = request_class, need
        since = second if self.felt_at is None else self.felt_at
        new = min(max(BLOCK_S, second - since), len(felt), READY_S)
        span = min(new + math.ceil(stay_s) + 1, len(felt), READY_S)
        where = np.arange(second - span + 1, second + 1) % READY_S
        old, recent = self.felt[where], felt[-span:]
        if again:
            recent = np.maximum(recent, old)
        else:
            recent = np.where(np.isinf(old) & (np.arange(span) < span - new), old, recent)
            short = recent[-new:] * self.calibration.factor > self.ready[where[-new:]]
            self.short = bool(short.any()) or (self.short and queued)
            if self.short:
                recent[-new:][~short] = np.inf
        self.felt[where] = recent
        self.felt_at = second

    def waiting(self, at: float) -> float | None:
        """Requests that wait now, by the replicas that reported lately; None where none says."""
        self.gauges = {r: g for r, g in self.gauges.items() if at - g[0] <= FRESH_S}
        self.batch.forget(at)
        counts = [waits for _, _, waits in self.gauges.values() if not math.isnan(waits)]
        return sum(counts) if counts else None

    def refit(self, at: float, names: NameTable) -> None:
        """Learns the speed anew, at most every `REFIT_S`, and what has changed of it."""
        if at - self.refitted_at < REFIT_S:
            return
        self.refitted_at = at
        shown = self.speed.refit(at)
        self.paces.compare(at, self.speed)
        self.drift.note(shown, self.speed.prior, self.paces.slow, names)

    def learn(self, batch: RequestBatch, mine: Bools, named: Bools) -> None:
        """Takes requests that this pool has ended well; not all may have `named` their replica."""
        ready = 0 if self.ready_at is None else int(self.ready[self.ready_at % READY_S])
        order = np.flatnonzero(mine if ready else mine & named)
        if not len(order):
            return
        order = order[np.argsort(batch.at[order], kind="stable")]
        ttft_s, outputs = batch.ttft_s[order], batch.output_tokens[order]
        decode_s = batch.e2e_s[order] - ttft_s
        untold = np.isnan(decode_s)
        if np.count_nonzero(untold):
            by_itl = batch.itl_s[order] * np.maximum(outputs - 1.0, 0.0)
            decode_s = np.where(untold, by_itl, decode_s)
        at, replica, inputs = batch.at[order], batch.replica[order], batch.input_tokens[order]
        told = named[order]
        if np.count_nonzero(told) == len(told):
            self.paces.observe(at, replica, inputs, outputs, decode_s)
        else:
            self.paces.observe(at[told], replica[told], inputs[told], outputs[told], decode_s[told])
            # Without a name, any of those that are ready.
            replica = np.where(told, replica, np.int32(-ready))
        odd = self.paces.odd
        self.speed.observe(at, replica, inputs, outputs, ttft_s, decode_s, odd=odd)

    def note_outcomes(self, rule: ClassRule, batch: RequestBatch, mine: Index) -> None:
        """Keeps when requests of a class came and ended, and which missed its SLO."""
        speed = self.speed.speed
        missed = missed_slo(rule, batch.ttft_s[mine], batch.itl_s[mine], batch.e2e_s[mine])
        at, took_s = batch.at[mine], _told_or_0(batch.e2e_s[mine])
        own_s = speed.prefill_base_s + speed.prefill_per_token_s * batch.input_tokens[mine]
        # What is too slow alone is no fault of the count.
        avoidable = ~(own_s > LATENT * (rule.ttft_s or math.inf))
        rows = np.empty((len(at), 3))
        rows[:, 0], rows[:, 1], rows[:, 2] = at - took_s, at, missed
        rows = rows[avoidable]
        self.outcomes.append((rule.name, rule.attainment, rows))

    def note_times(self, rule: ClassRule, batch: RequestBatch, mine: Index) -> None:
        """Keeps how long requests of a class took, for the p95 of the last minutes.

        Only times that its SLO names are ever compared.
        """
        times, known = tuple(named(rule)), self.ended.get(rule.name)
        if known is None or not set(times) <= set(known.times):
            known = self.ended[rule.name] = EndedTimes(times)
        known.note(batch.at[mine], batch.ttft_s[mine], batch.itl_s[mine], batch.e2e_s[mine])

    def note_early(self, rule: ClassRule, batch: RequestBatch, mine: Index) -> None:
        """Counts what missed its SLO while nothing is learned yet, with the replicas of now."""
        mine = mine[batch.at[mine] - np.nan_to_num(batch.e2e_s[mine]) >= self.grown_at]
        missed = missed_slo(rule, batch.ttft_s[mine], batch.itl_s[mine], batch.e2e_s[mine])
        self.early_ended += len(mine)
        self.early_missed += int(missed.sum())

    @property
    def early_miss_rate(self) -> float | None:
        """Share of those requests that missed; None while they are too few to tell."""
        if self.speed.learned or self.early_ended < EARLY_REQUESTS:
            return None
        return self.early_missed / self.early_ended

    def judge(self, at: float, rate: float) -> None:
        """Holds what the model foresaw of the requests that ended against what became of them.

        `rate` is of all classes, requests a second.
        """
        outcomes, self.outcomes = self.outcomes, []
        counts: Counter[str] = Counter()
        for request_class, _, rows in outcomes:
            counts[request_class] += len(rows)
        for request_class, attainment, rows in outcomes:
            came, ended = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
            known = (came > at - READY_S) & (ended <= at)
            came, ended = np.maximum(came, 0) % READY_S, np.maximum(ended, 0) % READY_S
            need = self.felt[came] * self.calibration.factor
            ready = np.minimum(self.ready[came], self.ready[ended]).astype(np.float32)
            missed = rows[:, 2] > 0
            own_rate = rate * counts[request_class] / max(counts.total(), 1)
            self.calibration.attained(
                request_class, len(rows), int(np.count_nonzero(missed)), attainment, own_rate
            )
            met = known & np.isfinite(need)
            self.calibration.meet((need / np.maximum(ready, 1.0))[met])
            if self.strictest and request_class not in (OF_ALL, self.strictest):
                # The need was foreseen for an SLO that is not theirs.
                continue
            self.calibration.observe(
                int(np.count_nonzero(met)),
                int(np.count_nonzero(met & missed)),
                int(np.count_nonzero(met & (need > ready))),
                attainment,
                own_rate,
            )


def _told_or_0(seconds: Floats) -> Floats:
    """As np.nan_to_num, which takes long where there is nothing to do."""
    known = np.count_nonzero(np.isfinite(seconds)) == len(seconds)
    return seconds if known else np.nan_to_num(seconds)


def declared_speed(pool: PoolRule) -> Speed:
    """The profile of the rule file, or the prior."""
    p = pool.profile
    if p is None:
        return PRIOR
    return Speed(p.itl_base_s, p.itl_per_request_s, p.prefill_base_s, p.prefill_per_token_s)


def missed_slo(rule: ClassRule, ttft_s: Floats, itl_s: Floats, e2e_s: Floats) -> Bools:
    """Which requests missed the SLO; a time that is not known misses nothing."""
    missed = np.zeros(len(ttft_s), dtype=np.bool_)
    for limit, seconds in ((rule.ttft_s, ttft_s), (rule.itl_s, itl_s), (rule.e2e_s, e2e_s)):
        if limit is not None:
            missed |= seconds > limit
    return missed

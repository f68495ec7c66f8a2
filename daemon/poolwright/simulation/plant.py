"""A discrete-event plant of pools that serve LLM requests; deterministic for a seed.

Requests wait in one FIFO per class and go to the least loaded replica with room, so that a new
replica relieves the queue at once. The head of a queue that waits fits nowhere: so after a change
of one replica only that one is asked, and an arrival behind others asks nobody.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from poolwright.model.pool import PoolReport
from poolwright.model.rule import ClassRule
from poolwright.simulation.ledger import Ledger, Outcomes
from poolwright.simulation.pool import Pool
from poolwright.simulation.replica import Replica, Request
from poolwright.simulation.spec import Fault, FaultKind, PlantSpec

Event = dict[str, str | float | int]
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Arrival:
    at: float
    request_class: str
    input_tokens: int
    output_tokens: int


class Plant:
    """Times are in one clock of the caller's choice, which never goes back.

    The plant's start, from which faults count, is `starts_at` or else the first time it is told.
    """

    def __init__(self, spec: PlantSpec, seed: int, *, starts_at: float | None = None) -> None:
        self._spec = spec
        self._starts_at = starts_at
        self._random = np.random.default_rng(seed)
        self._pools = {pool.name: Pool(pool) for pool in spec.pools}
        self._arrivals: list[tuple[float, int, Request]] = []
        self._queues: dict[str, deque[Request]] = {}
        self._serving: dict[str, list[Pool]] = {}
        self._timers: list[tuple[float, int, Callable[[float], None]]] = []
        self._count = 0
        self._submitted = 0
        self._ledger = Ledger()
        self._events: list[Event] = []
        self._now: float | None = None
        self._next_sample = 0.0

    # --- what the caller does ----------------------------------------------------------------

    def submit(self, arrival: Arrival) -> None:
        """A request that arrives when the plant gets to `arrival.at`."""
        self._submitted += 1
        request = Request(
            self._submitted,
            arrival.at,
            arrival.request_class,
            arrival.input_tokens,
            max(1, arrival.output_tokens),
        )
        heapq.heappush(self._arrivals, (arrival.at, request.number, request))

    def set_replicas(self, pool: str, count: int, at: float) -> int:
        """Orders or drains at `at`; the count granted, less than asked where stock is short."""
        self._run(at)
        asked = self._pools[pool]
        granted = asked.grant(count, at)
        self._fill(asked, at)
        for replica in asked.surplus():
            replica.draining = True
            asked.relist(replica)
            if not replica.running:
                asked.release(replica, at)
        return granted

    def advance(self, to: float) -> list[Event]:
        """Runs until `to`; gives the telemetry events of that time in the order they happened."""
        self._run(to)
        events, self._events = self._events, []
        return events

    # --- what the caller sees ----------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Submitted and not ended, those that have yet to arrive included."""
        return self._submitted - self._ledger.ended

    def faulty(self, pool: str, kind: str, at: float) -> bool:
        """True while a fault of that kind lasts."""
        return self._pools[pool].faulty(kind, at)

    def report(self, pool: str) -> PoolReport:
        return self._pools[pool].report(self._now or 0.0)

    def bill(self, at: float) -> dict[str, float]:
        """USD of each pool from order to release, at least the lease of every order."""
        return {name: pool.bill_usd(at) for name, pool in self._pools.items()}

    def outcomes(self, classes: Sequence[ClassRule]) -> Outcomes:
        now = self._now or 0.0
        attainment, overdue = self._ledger.attainment(classes, self._unserved(), now)
        return Outcomes(
            self._submitted,
            self._ledger.ended,
            attainment,
            self._ledger.latency(),
            overdue,
            {name: pool.replica_seconds(now) for name, pool in self._pools.items()},
            self.bill(now),
        )

    def _unserved(self) -> Iterator[Request]:
        """Requests that have arrived and not ended."""
        for queue in self._queues.values():
            yield from queue
        for pool in self._pools.values():
            for replica in pool.replicas:
                yield from replica.requests()

    # --- time --------------------------------------------------------------------------------

    def _run(self, to: float) -> None:
        self._start(to)
        arrivals, timers = self._arrivals, self._timers
        while True:
            arrival = arrivals[0][0] if arrivals else NEVER
            timer = timers[0][0] if timers else NEVER
            at = min(arrival, timer, self._next_sample)
            if at > to:
                break
            if timer == at:
                heapq.heappop(timers)[2](at)
            elif arrival == at:
                self._arrive(heapq.heappop(arrivals)[2], at)
            else:
                self._sample(at)
                self._next_sample += self._spec.sample_interval_s
        self._now = to

    def _start(self, at: float) -> None:
        if self._now is not None:
            return
        self._now = at
        step = self._spec.sample_interval_s
        self._next_sample = (at // step + 1) * step
        for pool in self._pools.values():
            pool.start(at if self._starts_at is None else self._starts_at)
            for begin, end, fault in pool.faults:
                self._timer(begin, partial(self._begin, pool, fault))
                self._timer(end, partial(self._end_fault, pool))

    def _timer(self, at: float, happens: Callable[[float], None]) -> None:
        self._count += 1
        heapq.heappush(self._timers, (at, self._count, happens))

    def _steps_timer(self, pool: Pool, replica: Replica) -> None:
        self._timer(replica.ends_at, partial(self._finish_steps, pool, replica, replica.version))

    # --- requests ----------------------------------------------------------------------------

    def _arrive(self, request: Request, at: float) -> None:
        request_class = request.request_class
        self._events.append(
            {"type": "arrival", "at": at, "service": self._spec.service,
             "class": request_class, "input_tokens": request.input_tokens}
        )  # fmt: skip
        queue = self._queues.get(request_class)
        if queue is None:
            queue = self._queues[request_class] = deque()
            self._serving[request_class] = [
                pool for pool in self._pools.values() if pool.spec.takes(request_class)
            ]
        queue.append(request)
        if len(queue) == 1:
            self._empty(request_class, queue, at)

    def _empty(self, request_class: str, queue: deque[Request], at: float) -> None:
        """Sends the head of the queue to the least loaded replica, until it fits nowhere."""
        serving = self._serving[request_class]
        while queue:
            least, best, home = NEVER, None, None
            for pool in serving:
                replica = pool.least_loaded(queue[0])
                if replica is not None and (load := replica.running / pool.spec.max_batch) < least:
                    least, best, home = load, replica, pool
            if best is None or home is None:
                return
            self._admit(queue.popleft(), home, best, at)

    def _admit(self, request: Request, pool: Pool, replica: Replica, at: float) -> None:
        version = replica.version
        replica.admit(request, at)
        pool.relist(replica)
        if replica.version != version:
            self._steps_timer(pool, replica)

    def _offer(self, pool: Pool, replica: Replica, at: float) -> None:
        """Asks the one replica that has changed; what it takes may let others in as well."""
        pool.relist(replica)
        for request_class, queue in self._queues.items():
            if queue and replica.open and pool.spec.takes(request_class) and replica.fits(queue[0]):
                self._admit(queue.popleft(), pool, replica, at)
                self._empty(request_class, queue, at)

    def _finish_steps(self, pool: Pool, replica: Replica, version: int, at: float) -> None:
        if version != replica.version:
            return
        ended = replica.finish_steps()
        for request in ended:
            self._end(request, pool, replica, at)
        if replica.draining and not replica.running:
            pool.release(replica, at)
            return
        if replica.steps:
            self._steps_timer(pool, replica)
        if ended:
            self._offer(pool, replica, at)

    def _end(self, request: Request, pool: Pool, replica: Replica, at: float) -> None:
        first = at if request.first_token_at is None else request.first_token_at
        ttft, e2e = first - request.at, at - request.at
        itl = (at - first) / max(1, request.output_tokens - 1)
        self._ledger.record(request.request_class, ttft, itl, e2e)
        self._events.append(
            {"type": "request", "at": at, "service": self._spec.service,
             "pool": pool.spec.name, "replica": replica.name, "class": request.request_class,
             "input_tokens": request.input_tokens, "output_tokens": request.output_tokens,
             "ttft_s": ttft, "itl_s": itl, "e2e_s": e2e, "status": "ok"}
        )  # fmt: skip

    # --- replicas ----------------------------------------------------------------------------

    def _fill(self, pool: Pool, at: float) -> None:
        for replica in pool.fill(at, lambda: float(self._random.uniform(-1, 1))):
            self._timer(replica.ready_at, partial(self._ready, pool, replica))

    def _ready(self, pool: Pool, replica: Replica, at: float) -> None:
        if not replica.released:
            replica.ready = True
            self._offer(pool, replica, at)

    def _begin(self, pool: Pool, fault: Fault, at: float) -> None:
        """The kinds that are missing here are asked for when somebody orders or calls."""
        if fault.kind is FaultKind.REPLICA_DIES:
            self._die(pool, [r for r in pool.replicas if r.ready][:1], at)
        elif fault.kind is FaultKind.POOL_LOST:
            self._die(pool, list(pool.replicas), at)
        elif fault.kind is FaultKind.SLOW_REPLICA:
            pool.slow_one(fault)
            self._throttle(pool, at)
        elif fault.kind is FaultKind.SLOW:
            self._throttle(pool, at)

    def _end_fault(self, pool: Pool, at: float) -> None:
        self._throttle(pool, at)
        self._fill(pool, at)

    def _throttle(self, pool: Pool, at: float) -> None:
        for replica in pool.replicas:
            slowdown = pool.slowdown(at, replica)
            if replica.slowdown != slowdown:
                replica.throttle(slowdown, at)
                if replica.steps:
                    self._steps_timer(pool, replica)

    def _die(self, pool: Pool, dying: Sequence[Replica], at: float) -> None:
        """Their requests start over at the head of their queues; the pool is owed new replicas."""
        lost: list[Request] = []
        for replica in dying:
            lost += replica.requests()
            pool.release(replica, at)
            pool.relist(replica)
        for request in sorted(lost, key=lambda r: -r.number):
            request.first_token_at = None
            self._queues[request.request_class].appendleft(request)
        self._fill(pool, at)
        for request_class, queue in self._queues.items():
            self._empty(request_class, queue, at)

    # --- samples -----------------------------------------------------------------------------

    def _sample(self, at: float) -> None:
        ready = [r for pool in self._pools.values() for r in pool.replicas if r.ready]
        taking = [r for r in ready if not r.draining]
        waiting = {r.name: float(r.held) for r in ready}
        for request_class, queue in self._queues.items():
            serving = [r for r in taking if r.spec.takes(request_class)]
            for replica in serving:
                waiting[replica.name] += len(queue) / len(serving)
        self._events.extend(
            {"type": "replica", "at": at, "service": self._spec.service, "pool": r.spec.name,
             "replica": r.name, "running": r.running - r.held, "waiting": waiting[r.name],
             "kv_cache_usage": min(1.0, r.kv_used / r.spec.kv_tokens),
             "prompt_tokens_total": r.prompt_tokens,
             "generation_tokens_total": r.generation_tokens}
            for r in ready
        )  # fmt: skip

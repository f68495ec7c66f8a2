"""A discrete-event plant of pools that serve LLM requests; deterministic for a seed.

Requests wait in one FIFO per class and go to the least loaded replica with room, so that a new
replica relieves the queue at once.
"""

import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from poolwright.model.pool import PoolReport
from poolwright.model.rule import ClassRule
from poolwright.simulation.replica import Replica, Request
from poolwright.simulation.spec import PlantSpec, PoolSpec

Event = dict[str, str | float | int]


@dataclass(frozen=True, slots=True)
class Arrival:
    at: float
    request_class: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Outcomes:
    submitted: int
    ended: int
    attainment: Mapping[str, float]
    latency: Mapping[str, float]


class Plant:
    def __init__(self, spec: PlantSpec, seed: int) -> None:
        self._spec = spec
        self._random = np.random.default_rng(seed)
        self._pools = {pool.name: pool for pool in spec.pools}
        self._replicas: dict[str, list[Replica]] = {pool.name: [] for pool in spec.pools}
        self._released: dict[str, float] = dict.fromkeys(self._pools, 0.0)
        self._desired = dict.fromkeys(self._pools, 0)
        self._arrivals: list[tuple[float, int, Request]] = []
        self._queues: dict[str, deque[Request]] = {}
        self._timers: list[tuple[float, int, str, Replica | str, int]] = []
        self._count = 0
        self._submitted = 0
        self._ended: list[tuple[str, float, float, float]] = []
        self._now: float | None = None
        self._next_sample = 0.0
        for pool in spec.pools:
            for fault in pool.faults:
                if fault.kind == "replica_dies":
                    self._timer(fault.at, "dies", pool.name, 0)

    def _timer(self, at: float, kind: str, what: Replica | str, version: int) -> None:
        self._count += 1
        heapq.heappush(self._timers, (at, self._count, kind, what, version))

    def _start(self, at: float) -> None:
        if self._now is None:
            self._now = at
            step = self._spec.sample_interval_s
            self._next_sample = (at // step + 1) * step

    def submit(self, arrival: Arrival) -> None:
        self._submitted += 1
        request = Request(
            self._submitted,
            arrival.at,
            arrival.request_class,
            arrival.input_tokens,
            max(1, arrival.output_tokens),
        )
        heapq.heappush(self._arrivals, (arrival.at, request.number, request))

    @property
    def in_flight(self) -> int:
        return self._submitted - len(self._ended)

    def faulty(self, pool: str, kind: str, at: float) -> bool:
        """True while a fault of that kind lasts."""
        faults = self._pools[pool].faults
        return any(f.kind == kind and f.at <= at < f.at + f.duration_s for f in faults)

    def set_replicas(self, pool: str, count: int, at: float) -> int:
        """Orders or drains; gives the count granted, less than asked where stock is short."""
        self._start(at)
        spec, replicas = self._pools[pool], self._replicas[pool]
        live = [r for r in replicas if not r.draining]
        limit = len(live) if self.faulty(pool, "stockout", at) else max(len(live), spec.stock)
        granted = min(count, limit)
        for _ in range(granted - len(live)):
            jitter = 1 + spec.startup_jitter * float(self._random.uniform(-1, 1))
            self._count += 1
            replica = Replica(f"{pool}-{self._count}", spec, at, at + spec.startup_s * jitter)
            replicas.append(replica)
            self._timer(replica.ready_at, "ready", replica, 0)
        live.sort(key=lambda r: (r.ready, r.running, -r.ordered_at))
        for replica in live[: max(0, len(live) - granted)]:
            replica.draining = True
            if not replica.running:
                self._release(replica, at)
        self._desired[pool] = granted
        return granted

    def _cost(self, replica: Replica, until: float) -> float:
        spec = replica.spec
        billed_s = max(until - replica.ordered_at, spec.lease_s)
        return billed_s / 3600 * spec.price_usd_per_hour

    def _release(self, replica: Replica, at: float) -> None:
        replica.released_at = at
        replica.version += 1
        self._replicas[replica.spec.name].remove(replica)
        self._released[replica.spec.name] += self._cost(replica, at)

    def advance(self, to: float) -> list[Event]:
        """Runs until `to`; gives the telemetry events of that time in the order they happened."""
        self._start(to)
        events: list[Event] = []
        never = float("inf")
        while True:
            arrival = self._arrivals[0][0] if self._arrivals else never
            timer = self._timers[0][0] if self._timers else never
            at = min(arrival, timer, self._next_sample)
            if at > to:
                break
            if timer == at:
                _, _, kind, what, version = heapq.heappop(self._timers)
                self._fire(at, kind, what, version, events)
            elif arrival == at:
                request = heapq.heappop(self._arrivals)[2]
                events.append(
                    {"type": "arrival", "at": at, "service": self._spec.service,
                     "class": request.request_class, "input_tokens": request.input_tokens}
                )  # fmt: skip
                self._queues.setdefault(request.request_class, deque()).append(request)
                self._dispatch(at)
            else:
                self._sample(at, events)
                self._next_sample += self._spec.sample_interval_s
        self._now = to
        return events

    def _fire(
        self, at: float, kind: str, what: Replica | str, version: int, events: list[Event]
    ) -> None:
        if isinstance(what, str):
            self._die(what, at)
        elif kind == "ready":
            what.ready = what.released_at is None
            self._dispatch(at)
        elif version == what.version:
            for request in what.finish_steps():
                self._end(request, what, at, events)
            if what.draining and not what.running:
                self._release(what, at)
            elif what.steps:
                self._timer(what.ends_at, "steps", what, what.version)
            self._dispatch(at)

    def _die(self, pool: str, at: float) -> None:
        """Its requests go back to the head of their queues; the provider orders a new replica."""
        ready = [r for r in self._replicas[pool] if r.ready]
        if not ready:
            return
        replica = ready[0]
        lost = [*replica.prefills, *(entry[2] for entry in replica.decoding)]
        for request in sorted(lost, key=lambda r: -r.number):
            self._queues[request.request_class].appendleft(request)
        self._release(replica, at)
        self.set_replicas(pool, self._desired[pool], at)
        self._dispatch(at)

    def _serves(self, pool: PoolSpec, request_class: str) -> bool:
        return not pool.serves or request_class in pool.serves

    def _dispatch(self, at: float) -> None:
        for request_class, queue in self._queues.items():
            while queue:
                request = queue[0]
                fitting = [
                    r
                    for name, replicas in self._replicas.items()
                    if self._serves(self._pools[name], request_class)
                    for r in replicas
                    if r.fits(request)
                ]
                if not fitting:
                    break
                best = min(fitting, key=lambda r: r.running / r.spec.max_batch)
                version = best.version
                best.admit(queue.popleft(), at)
                if best.version != version:
                    self._timer(best.ends_at, "steps", best, best.version)

    def _end(self, r: Request, replica: Replica, at: float, events: list[Event]) -> None:
        ttft = r.first_token_at - r.at
        itl = (at - r.first_token_at) / max(1, r.output_tokens - 1)
        self._ended.append((r.request_class, ttft, itl, at - r.at))
        events.append(
            {"type": "request", "at": at, "service": self._spec.service,
             "pool": replica.spec.name, "replica": replica.name, "class": r.request_class,
             "input_tokens": r.input_tokens, "output_tokens": r.output_tokens,
             "ttft_s": ttft, "itl_s": itl, "e2e_s": at - r.at, "status": "ok"}
        )  # fmt: skip

    def _sample(self, at: float, events: list[Event]) -> None:
        ready = [r for replicas in self._replicas.values() for r in replicas if r.ready]
        taking = [r for r in ready if not r.draining]
        waiting = dict.fromkeys((r.name for r in ready), 0.0)
        for request_class, queue in self._queues.items():
            serving = [r for r in taking if self._serves(r.spec, request_class)]
            for replica in serving:
                waiting[replica.name] += len(queue) / len(serving)
        events.extend(
            {"type": "replica", "at": at, "service": self._spec.service, "pool": r.spec.name,
             "replica": r.name, "running": r.running, "waiting": waiting[r.name],
             "kv_cache_usage": min(1.0, r.kv_used / r.spec.kv_tokens),
             "prompt_tokens_total": r.prompt_tokens,
             "generation_tokens_total": r.generation_tokens}
            for r in ready
        )  # fmt: skip

    def report(self, pool: str) -> PoolReport:
        live = [r for r in self._replicas[pool] if not r.draining]
        ready = sum(r.ready for r in live)
        return PoolReport(
            pool=pool,
            at=self._now or 0.0,
            desired=self._desired[pool],
            ready=ready,
            starting=len(live) - ready,
            terminating=len(self._replicas[pool]) - len(live),
        )

    def bill(self, at: float) -> dict[str, float]:
        """USD of each pool from order to release, at least the lease of every order."""
        return {
            name: self._released[name] + sum(self._cost(r, at) for r in replicas)
            for name, replicas in self._replicas.items()
        }

    def outcomes(self, classes: Sequence[ClassRule]) -> Outcomes:
        """Attainment of the requests that ended."""
        attainment = {}
        for rule in classes:
            limits = [x or float("inf") for x in (rule.ttft_s, rule.itl_s, rule.e2e_s)]
            mine = [e[1:] for e in self._ended if e[0] == rule.name]
            met = sum(all(v <= m for v, m in zip(e, limits, strict=True)) for e in mine)
            if mine:
                attainment[rule.name] = met / len(mine)
        latency = {}
        if self._ended:
            for column, name in ((1, "ttft"), (2, "itl")):
                values = [float(e[column]) for e in self._ended]
                for percent in (50, 99):
                    latency[f"{name}_p{percent}_s"] = float(np.percentile(values, percent))
        return Outcomes(self._submitted, len(self._ended), attainment, latency)

"""Continuous batching by iterations, exactly as docs/capacity.md models it, and samples from it."""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from poolwright.capacity.speed import Speed, SpeedEstimator
from poolwright.controller import Controller
from poolwright.model.decision import Decision

START = 1_700_000_000.0
COLUMNS = ("ended", "replica", "inputs", "outputs", "ttft", "decode", "iterations", "tokens",
           "prefills", "prompt_tokens")  # fmt: skip


@dataclass
class Request:
    arrived: float
    inputs: int
    outputs: int
    left: int = 0
    first: float = 0.0
    made: int = 1
    end: float = 0.0
    since: np.ndarray = field(default_factory=lambda: np.zeros(4))
    until: np.ndarray = field(default_factory=lambda: np.zeros(4))
    """What its replica had done at its first and its last token."""


@dataclass
class Replica:
    """One replica: every iteration gives each running request a token and prefills a chunk."""

    speed: Speed
    chunk: int
    most: int
    """Requests that may run at once; the others wait."""
    clock: float = 0.0
    waiting: deque[Request] = field(default_factory=deque)
    running: list[Request] = field(default_factory=list)
    done: np.ndarray = field(default_factory=lambda: np.zeros(4))
    """Iterations, tokens, prefills, prompt tokens so far."""

    @property
    def load(self) -> int:
        return len(self.waiting) + len(self.running)

    def run_until(self, until: float) -> list[Request]:
        ended: list[Request] = []
        while self.load and self.clock < until:
            ended.extend(self._iterate())
        self.clock = max(self.clock, until) if not self.load else self.clock
        return ended

    def _iterate(self) -> list[Request]:
        work = np.zeros(4)
        if self.running:
            work[:2] = 1, len(self.running)
        finished = None
        if self.waiting and len(self.running) < self.most:
            head = self.waiting[0]
            part = min(head.left, self.chunk)
            head.left -= part
            work[3] = part
            if not head.left:
                finished = self.waiting.popleft()
                work[2] = 1
        s = self.speed
        self.clock += float(
            work @ (s.itl_base_s, s.itl_per_request_s, s.prefill_base_s, s.prefill_per_token_s)
        )
        self.done = self.done + work
        for request in self.running:
            request.made += 1
        ended = [r for r in self.running if r.made >= r.outputs]
        self.running = [r for r in self.running if r.made < r.outputs]
        if finished is not None:
            finished.first, finished.since = self.clock, self.done
            if finished.outputs > 1:
                self.running.append(finished)
            else:
                ended.append(finished)
        for request in ended:
            request.end, request.until = self.clock, self.done
        return ended


def simulate(
    speed: Speed,
    *,
    replicas: int = 3,
    rate: float | Callable[[float], float] = 4.0,
    seconds: float = 200.0,
    inputs: float = 600.0,
    outputs: float = 80.0,
    chunk: int = 512,
    most: int = 10_000,
    seed: int = 1,
) -> dict[str, np.ndarray]:
    """Requests that ended, by end, with what their replica did while they decoded."""
    rng = np.random.default_rng(seed)
    pool = [Replica(speed, chunk, most) for _ in range(replicas)]
    rows = []
    at = 0.0
    while at < seconds:
        at += float(rng.exponential(1.0 / (rate(at) if callable(rate) else rate)))
        for number, replica in enumerate(pool):
            rows += [_row(request, number) for request in replica.run_until(at)]
        prompt = 1 + int(rng.exponential(inputs))
        answer = 1 + int(rng.exponential(outputs))
        target = min(pool, key=lambda r: r.load)
        target.waiting.append(Request(at, prompt, answer, prompt))
    rows.sort(key=lambda row: row[0])
    return dict(zip(COLUMNS, np.array(rows).reshape(-1, len(COLUMNS)).T, strict=True))


def _row(request: Request, replica: int) -> tuple[float, ...]:
    did = request.until - request.since
    first = request.first
    return (request.end, replica, request.inputs, request.outputs, first - request.arrived,
            request.end - first, *did)  # fmt: skip


def learn(
    estimator: SpeedEstimator,
    ended: dict[str, np.ndarray],
    *,
    since: float = 0.0,
    every: float = 30.0,
) -> SpeedEstimator:
    """Shows what ended to the estimator, a refit at a time."""
    last = float(ended["ended"][-1])
    for start in np.arange(since, last, every):
        some = (ended["ended"] > start) & (ended["ended"] <= start + every)
        estimator.observe(
            ended["ended"][some],
            ended["replica"][some].astype(np.int32),
            ended["inputs"][some],
            ended["outputs"][some],
            ended["ttft"][some],
            ended["decode"][some],
        )
        estimator.refit(float(start + every))
    return estimator


RULES = """
apiVersion: poolwright/v1
service: chat
classes:
  chat: {ttft: 2s, itl: 50ms, attainment: 99%}
pools:
  - name: gpu
    role: default
    provider: {simulated: {pool: gpu}}
    replicas: {min: 1, max: 12}
    price: 4 USD/h
    startup: 60s
triggers:
  - {name: meet-slo, slo: chat}
limits:
  up: {step: "max(4, 100%)", per: 15s}
  down: {step: 1, per: 20s, stabilise: 60s}
"""

ACCELERATOR = """
  - name: wse
    role: accelerator
    provider: {simulated: {pool: wse}}
    replicas: {min: 0, max: 2}
    price: 10 USD/h
    startup: 60s
    lease: 2m
    serves: [chat]
    profile:
      itl_base: 1ms
      itl_per_request: 0.1ms
      prefill_base: 2ms
      prefill_per_token: 0.02ms
      max_batch: 256
    advantage: {economic: 15%, performance: 30%, held_for: 1m, min_utilisation: 15%}
triggers:
"""

GPU = Speed(0.012, 0.0008, 0.005, 0.0002)
FAST = Speed(0.001, 0.0001, 0.002, 0.00002)
"""As `ACCELERATOR` declares it."""


@dataclass
class Target:
    """A pool whose provider obeys, after a start-up time."""

    name: str
    speed: Speed = GPU
    ready: int = 0
    startup_s: float = 40.0
    weight: int = 1
    """Requests that a replica gets for each that one of weight 1 gets."""
    starting: list[float] = field(default_factory=list)

    def obey(self, count: int, at: float) -> None:
        while self.ready + len(self.starting) < count:
            self.starting.append(at + self.startup_s)
        while self.ready + len(self.starting) > count and self.starting:
            self.starting.pop()
        self.ready = min(self.ready, count)

    def tick(self, at: float) -> None:
        self.ready += sum(due <= at for due in self.starting)
        self.starting = [due for due in self.starting if due > at]


class Drive:
    """A controller, a second at a time, beside a fleet as quick as its mean batch lets it be."""

    def __init__(self, controller: Controller, *pools: Target, start: float = START) -> None:
        self.controller, self.pools, self.at = controller, pools, start
        self.decisions: list[Decision] = []
        self._ending: list[tuple[float, int, dict[str, object]]] = []
        self._count = 0

    def run(
        self,
        seconds: int,
        rate: float,
        *,
        telemetry: bool = True,
        gauges_s: int = 5,
        waiting: float = 0.0,
        running: float = 4.0,
        inputs: float = 500.0,
        outputs: float = 100.0,
        request_class: str = "chat",
        decide_s: int = 1,
    ) -> list[Decision]:
        """`rate` arrivals a second, evenly; returns what was decided meanwhile."""
        since = len(self.decisions)
        for _ in range(seconds):
            self.at += 1.0
            for pool in self.pools:
                pool.tick(self.at)
                self.controller.report(
                    pool.name, at=self.at, ready=pool.ready, starting=len(pool.starting)
                )
            events = [*self._arrivals(rate, inputs, outputs, request_class)]
            while self._ending and self._ending[0][0] <= self.at:
                events.append(heapq.heappop(self._ending)[2])
            if int(self.at) % gauges_s == 0:
                events += [
                    self._gauge(pool, replica) | {"running": running, "waiting": waiting}
                    for pool in self.pools
                    for replica in range(pool.ready)
                ]
            if telemetry:
                self.controller.ingest(events)
            if int(self.at) % decide_s == 0:
                self._decide()
        return self.decisions[since:]

    def _decide(self) -> None:
        for decision in self.controller.decide(self.at):
            self.decisions.append(decision)
            if decision.acts:
                next(p for p in self.pools if p.name == decision.pool).obey(
                    decision.desired, self.at
                )

    def _arrivals(self, rate: float, inputs: float, outputs: float, request_class: str):
        before = self._count
        self._count += int(rate * (self.at - START)) - int(rate * (self.at - START - 1.0))
        servers = [(p, n) for p in self.pools for n in range(p.ready) for _ in range(p.weight)]
        for number in range(before, self._count):
            came = self.at - 1.0 + (number - before + 0.5) / (self._count - before)
            common = {"service": "chat", "class": request_class, "input_tokens": inputs}
            yield {"type": "arrival", "at": came, **common}
            if not servers:
                continue
            pool, replica = servers[number % len(servers)]
            ttft = pool.speed.prefill_base_s + pool.speed.prefill_per_token_s * inputs
            share = rate * pool.weight / len(servers)
            busy = max(1.0 - float(pool.speed.work_s(inputs, outputs)) * share, 0.05)
            itl = pool.speed.itl_base_s / busy
            end = came + ttft + (outputs - 1) * itl
            ended = {"type": "request", "at": end, **common, "pool": pool.name,
                     "replica": f"{pool.name}-{replica}", "output_tokens": outputs,
                     "ttft_s": ttft, "itl_s": itl, "e2e_s": end - came, "status": "ok"}  # fmt: skip
            heapq.heappush(self._ending, (end, number, ended))

    def _gauge(self, pool: Target, replica: int) -> dict[str, object]:
        return {"type": "replica", "at": self.at, "service": "chat", "pool": pool.name,
                "replica": f"{pool.name}-{replica}", "kv_cache_usage": 0.2}  # fmt: skip

"""Continuous batching by iterations, exactly as docs/capacity.md models it, and samples from it."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from poolwright.capacity.speed import Speed, SpeedEstimator

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
        if self.waiting:
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
    rate: float = 4.0,
    seconds: float = 200.0,
    inputs: float = 600.0,
    outputs: float = 80.0,
    chunk: int = 512,
    seed: int = 1,
) -> dict[str, np.ndarray]:
    """Requests that ended, by end, with what their replica did while they decoded."""
    rng = np.random.default_rng(seed)
    pool = [Replica(speed, chunk) for _ in range(replicas)]
    rows = []
    at = 0.0
    while at < seconds:
        at += float(rng.exponential(1.0 / rate))
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

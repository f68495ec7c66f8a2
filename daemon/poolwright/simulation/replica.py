"""One serving replica: continuous batching, advanced by whole runs of equal steps.

Between two changes of the batch every decode step takes the same time, so k steps are one event.
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass, field

from poolwright.simulation.spec import PoolSpec


@dataclass(slots=True, eq=False)
class Request:
    number: int
    at: float
    request_class: str
    input_tokens: int
    output_tokens: int
    first_token_at: float | None = None
    kv_tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.kv_tokens = self.input_tokens + self.output_tokens


@dataclass(slots=True, eq=False)
class Replica:
    """`version` changes whenever a planned end of steps no longer holds."""

    name: str
    number: int
    """Counts up within its pool, in the order of ordering."""
    spec: PoolSpec
    ordered_at: float
    ready_at: float
    slowdown: float = 1.0
    ready: bool = False
    draining: bool = False
    released: bool = False
    version: int = 0
    running: int = 0
    kv_used: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    steps_done: int = 0
    chunks_left: int = 0
    started: float = 0.0
    step_s: float = 0.0
    steps: int = 0
    prefills: deque[Request] = field(default_factory=deque)
    decoding: list[tuple[int, int, Request]] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """True while it takes requests, as far as their number goes."""
        return self.ready and not self.draining and self.running < self.spec.max_batch

    def fits(self, request: Request) -> bool:
        """An empty replica takes any request, or one larger than its memory would wait for ever."""
        return self.running == 0 or self.kv_used + request.kv_tokens <= self.spec.kv_tokens

    @property
    def held(self) -> int:
        """Of those that it took, the ones whose prefill has not begun: engines say they wait."""
        return len(self.prefills) - (self.chunks_left > 0)

    def requests(self) -> list[Request]:
        return [*self.prefills, *(entry[2] for entry in self.decoding)]

    def admit(self, request: Request, now: float) -> None:
        self.running += 1
        self.kv_used += request.kv_tokens
        self.prefills.append(request)
        if self.steps == 0:
            self._plan(now)
        elif not self.chunks_left:
            self._cut(now)

    def throttle(self, slowdown: float, now: float) -> None:
        """From the next step on, steps take `slowdown` times as long as the spec says."""
        self.slowdown = slowdown
        if self.steps:
            self._cut(now)

    def _cut(self, now: float) -> None:
        """Ends the run with the step under way, so that what is new counts from the next one."""
        begun = math.ceil((now - self.started) / self.step_s) if self.step_s else 1
        self.steps = min(self.steps, max(1, begun))
        self.version += 1

    def _plan(self, now: float) -> None:
        """Chooses the next equal steps: prefill chunks beside decoding, or decoding alone."""
        self.version += 1
        self.started = now
        spec = self.spec
        batch = len(self.decoding)
        step_s = spec.itl_base_s + spec.itl_per_request_s * batch if batch else 0.0
        steps = self.decoding[0][0] - self.steps_done if batch else 0
        if self.prefills:
            tokens = self.prefills[0].input_tokens
            chunks = max(1, math.ceil(tokens / spec.prefill_chunk_tokens))
            if not self.chunks_left:
                self.chunks_left = chunks
            step_s += (spec.prefill_base_s + spec.prefill_per_token_s * tokens) / chunks
            steps = min(steps, self.chunks_left) if batch else self.chunks_left
        self.step_s, self.steps = step_s * self.slowdown, steps

    @property
    def ends_at(self) -> float:
        return self.started + self.step_s * self.steps

    def finish_steps(self) -> list[Request]:
        """Ends the planned run and plans the next; gives the requests that have ended."""
        now = self.ends_at
        self.steps_done += self.steps
        self.generation_tokens += self.steps * len(self.decoding)
        ended = []
        while self.decoding and self.decoding[0][0] <= self.steps_done:
            ended.append(heapq.heappop(self.decoding)[2])
        if self.chunks_left:
            self.chunks_left -= self.steps
            if self.chunks_left == 0:
                request = self.prefills.popleft()
                request.first_token_at = now
                self.prompt_tokens += request.input_tokens
                self.generation_tokens += 1
                if request.output_tokens <= 1:
                    ended.append(request)
                else:
                    last = self.steps_done + request.output_tokens - 1
                    heapq.heappush(self.decoding, (last, request.number, request))
        for request in ended:
            self.kv_used -= request.kv_tokens
        self.running -= len(ended)
        self._plan(now)
        return ended

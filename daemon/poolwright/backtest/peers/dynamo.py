"""NVIDIA Dynamo's SLA planner in its throughput mode, for replicas that prefill and decode.

Source: Dynamo documentation, "SLA-based Planner": every adjustment interval (180 s) it predicts
requests and their mean lengths, and divides the load by what a profile says that an engine does
under the SLA. Prefill load is multiplied by min(1, observed/expected TTFT); the ITL asked for is
divided by observed/expected ITL. Predictors: constant, and a linear trend in the place of ARIMA.

The planner counts prefill and decode engines apart. Where one replica does both, their shares of
a replica's time add up. The profile is the simulated plant's own speed, which is as good as a
profile can be. What is swept is the share of that throughput which is planned with.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from poolwright.backtest.peers.peer import Ended, Second
from poolwright.simulation.spec import PoolSpec

ADJUST_S: Final = 180.0
TREND_INTERVALS: Final = 5


@dataclass(frozen=True, slots=True)
class Profile:
    """What one engine does, as a sweep of its load would measure it; tokens, seconds."""

    pool: PoolSpec

    def ttft_s(self, input_tokens: float) -> float:
        return self.pool.prefill_base_s + self.pool.prefill_per_token_s * input_tokens

    def itl_s(self, batch: float) -> float:
        return self.pool.itl_base_s + self.pool.itl_per_request_s * batch

    def prefill_tokens_per_s(self, input_tokens: float) -> float:
        return input_tokens / max(self.ttft_s(input_tokens), 1e-9)

    def decode_tokens_per_s(self, itl_s: float, context_tokens: float) -> float:
        """The best throughput of a batch that fits into memory and keeps the time per token."""
        room = self.pool.kv_tokens / max(context_tokens, 1.0)
        kept = (itl_s - self.pool.itl_base_s) / max(self.pool.itl_per_request_s, 1e-9)
        batch = max(1.0, min(kept, room, self.pool.max_batch))
        return batch / self.itl_s(batch)


@dataclass(frozen=True, slots=True)
class Interval:
    """Load of an adjustment interval: requests, and tokens of the mean request."""

    requests: float
    input_tokens: float
    output_tokens: float


def predicted(history: Sequence[float], *, trend: bool) -> float:
    """The next value: the last one, or that of the straight line through the last few."""
    if not trend or len(history) < 2:
        return history[-1]
    slope, level = np.polyfit(np.arange(len(history)), history, 1)
    return max(0.0, float(level + slope * len(history)))


def replicas_for(
    load: Interval,
    profile: Profile,
    itl_slo_s: float,
    *,
    prefill_correction: float = 1.0,
    decode_correction: float = 1.0,
    planned: float = 1.0,
) -> int:
    """Replicas for a predicted interval; `planned` is the share of the profile's throughput."""
    prefill = load.requests * load.input_tokens / ADJUST_S * min(1.0, prefill_correction)
    decode = load.requests * load.output_tokens / ADJUST_S
    context = load.input_tokens + load.output_tokens / 2
    share = prefill / profile.prefill_tokens_per_s(max(load.input_tokens, 1.0))
    share += decode / profile.decode_tokens_per_s(itl_slo_s / decode_correction, context)
    return max(1, math.ceil(share / planned))


class DynamoPlanner:
    every_s = ADJUST_S

    def __init__(self, profile: Profile, itl_slo_s: float, planned: float, *, trend: bool) -> None:
        self._profile = profile
        self._itl_slo_s = itl_slo_s
        self._planned = planned
        self._trend = trend
        self._history: deque[Interval] = deque(maxlen=TREND_INTERVALS)
        self._arrivals = 0
        self._ended: list[Ended] = []

    def observe(self, second: Second) -> None:
        self._arrivals += second.arrivals
        self._ended.extend(second.ended)

    def replicas(self, now: Second) -> int:
        arrivals, ended = self._arrivals, self._ended
        self._arrivals, self._ended = 0, []
        if not ended:
            return now.pool.desired
        inputs = float(np.mean([request.input_tokens for request in ended]))
        outputs = float(np.mean([request.output_tokens for request in ended]))
        self._history.append(Interval(arrivals, inputs, outputs))
        past = self._history
        load = Interval(
            predicted([interval.requests for interval in past], trend=self._trend),
            predicted([interval.input_tokens for interval in past], trend=self._trend),
            predicted([interval.output_tokens for interval in past], trend=self._trend),
        )
        ttft_s = float(np.mean([request.ttft_s for request in ended]))
        several = [request for request in ended if request.output_tokens > 1]
        itl_s = float(np.mean([request.itl_s for request in several])) if several else 0.0
        at_once = sum(request.e2e_s for request in ended) / ADJUST_S / max(now.pool.ready, 1)
        expected_s = self._profile.itl_s(min(max(at_once, 1.0), self._profile.pool.max_batch))
        return replicas_for(
            load,
            self._profile,
            self._itl_slo_s,
            prefill_correction=ttft_s / self._profile.ttft_s(inputs),
            decode_correction=itl_s / expected_s if itl_s else 1.0,
            planned=self._planned,
        )

"""What one replica carries at the SLO, from its speed and the limits of its batch."""

from dataclasses import dataclass
from typing import Final

from poolwright.capacity.speed import Speed

EFFICIENCY: Final = 0.93
"""Share of a replica's time that prefill gets at most while it decodes beside."""
UNBOUNDED_BATCH: Final = 512.0
BEST_EFFORT: Final = 0.8
"""Utilisation where no load meets the SLO: more replicas would cost and help nobody."""
LEAST_SLACK: Final = 0.25
"""Of the time to first token, at least so much may be spent waiting, however long the prompt."""


@dataclass(frozen=True, slots=True)
class Objective:
    """The SLOs that must hold on a pool at once: the strictest of its classes. Seconds."""

    ttft_s: float | None
    itl_s: float | None
    e2e_s: float | None
    attainment: float


@dataclass(frozen=True, slots=True)
class Carrying:
    """What a replica may be loaded with so that the objective holds.

    `decode_s` is how long a request stays once it has begun to decode; `batch` how many may decode
    at once; `utilisation` the share of the replica's time that work may fill.
    """

    utilisation: float
    batch: float
    decode_s: float
    wait_s: float
    """How long a request may wait before its prefill."""
    meets: bool = True
    """Whether the pool can meet the objective at all; if not, the other figures are best effort."""
    efficiency: float = EFFICIENCY

    def requests_per_s(self, speed: Speed, input_tokens: float, output_tokens: float) -> float:
        """Requests of this size a second that one replica carries."""
        work_s = float(speed.work_s(input_tokens, output_tokens))
        return min(self.utilisation / max(work_s, 1e-9), self.batch / max(self.decode_s, 1e-9))


def carrying(
    speed: Speed,
    objective: Objective,
    *,
    input_tokens: float,
    output_tokens: float,
    max_batch: float | None,
) -> Carrying:
    """What a replica carries of requests with these mean tokens.

    With λ requests a second of work s each, a replica's batch n satisfies n = λ·O·itl and
    itl = (α + β·n)/(1 − λ·prefill), hence itl = α/(1 − λ·s): utilisation λ·s may be 1 − α/SLO.
    """
    most = UNBOUNDED_BATCH if max_batch is None else max(max_batch, 1.0)
    full_itl_s = speed.itl_base_s + speed.itl_per_request_s * most
    prefill_s = speed.prefill_base_s + speed.prefill_per_token_s * input_tokens
    allowed_s, utilisation = full_itl_s, EFFICIENCY
    meets = objective.ttft_s is None or prefill_s < objective.ttft_s
    if objective.itl_s is not None:
        meets &= speed.itl_base_s + speed.itl_per_request_s <= objective.itl_s
        # Where even a batch of one is too slow, the least that lets nobody queue will do.
        utilisation = 1.0 - speed.itl_base_s / objective.itl_s if meets else BEST_EFFORT
        allowed_s = min(max(objective.itl_s, speed.itl_base_s), full_itl_s)
    decode_s = max(output_tokens - 1.0, 0.0) * allowed_s
    wait_s = _wait_s(objective, prefill_s, decode_s)
    return Carrying(min(utilisation, EFFICIENCY), most, decode_s, wait_s, meets)


def _wait_s(objective: Objective, prefill_s: float, decode_s: float) -> float:
    waits = []
    if objective.ttft_s is not None:
        waits.append(max(objective.ttft_s - prefill_s, LEAST_SLACK * objective.ttft_s))
    if objective.e2e_s is not None:
        waits.append(max(objective.e2e_s - prefill_s - decode_s, LEAST_SLACK * objective.e2e_s))
    return min(waits, default=1.0)

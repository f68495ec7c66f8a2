"""From what was learned of a service and a pool to the pool's assessment."""

import math
from typing import Final

import numpy as np

from poolwright.capacity.calibration import MEMORY_S
from poolwright.capacity.carrying import Carrying, carrying
from poolwright.capacity.demand import PRIOR_INPUT_TOKENS, PRIOR_OUTPUT_TOKENS
from poolwright.capacity.past import Past, Shares
from poolwright.capacity.pool_learner import BLOCK_S, PoolLearner
from poolwright.capacity.question import Question
from poolwright.model.assessment import Assessment, Basis, Capacity, ModelForecast
from poolwright.model.rule import PoolRule
from poolwright.model.sample import Bools, Floats

LEVEL_S: Final = 120
SUSTAINED_S: Final = 300
LEAST_TREND_S: Final = 30
BURSTY: Final = 0.5
"""Share of its mean by which a need strays from a line where it comes in bursts."""
REACTION_S: Final = 10.0
"""From a need to an order: a block, a tick and the provider's answer."""


def assess(
    past: Past,
    pool: PoolLearner,
    rule: PoolRule,
    question: Question,
    shares: Shares,
    at: float,
    *,
    binding: bool = True,
) -> Assessment:
    """What the pool needs for its shares of the classes at the objective.

    Unless it is `binding`, as the alternatives of a plan are not, outcomes are not judged by it.
    """
    demand, stream = past.demand, past.stream(shares)
    requests = float(stream.requests.sum())
    inputs = float(stream.input_tokens.sum()) / requests if requests else PRIOR_INPUT_TOKENS
    outputs = float(stream.output_tokens.sum()) / requests if requests else PRIOR_OUTPUT_TOKENS
    declared = None if rule.profile is None else float(rule.profile.max_batch)
    speed = pool.speed.speed
    load = carrying(
        speed,
        question.objective,
        input_tokens=inputs,
        output_tokens=outputs,
        max_batch=min((c for c in (declared, pool.batch.requests) if c is not None), default=None),
    )
    replicas = past.needs(shares, speed, load)
    modelled, needed = replicas.at_once, replicas.felt
    last, minute = min(past.seconds, int(MEMORY_S)), max(1, min(demand.asked_s, 60))
    if binding:
        waiting = pool.waiting(at)
        pool.note_felt(
            at,
            needed,
            load.decode_s,
            queued=waiting is not None and waiting >= 1.0,
            request_class=question.request_class,
        )
        pool.judge(at, float(stream.requests[-last:].sum()) / last)
    known = past.known
    peak = float(modelled[known].max(initial=0.0))
    factor = pool.calibration.factor
    startup_s = pool.startups.p95_s(rule.startup_s)
    horizon_s = (startup_s if question.horizon_s is None else question.horizon_s) + REACTION_S
    quantile = question.quantile
    if quantile is None:
        quantile = pool.calibration.quantile(question.request_class, question.objective.attainment)
    tested = past.backtest(shares, speed, load, factor, horizon_s)
    found = None if tested is None else tested.forecast(quantile)
    return Assessment(
        trigger=question.trigger,
        request_class=question.request_class,
        at=at,
        learned=pool.speed.learned,
        capacity=_capacity(rule, pool, load, inputs, outputs),
        demand_per_s=float(stream.requests[-minute:].sum()) / minute,
        waiting=pool.waiting(at),
        need=float(modelled[-BLOCK_S:].max()) * factor,
        level=_mean(modelled, known, LEVEL_S) * factor,
        sustained=_mean(modelled, known, SUSTAINED_S) * factor,
        expected=None if found is None else found.expected,
        upper=None if found is None else found.value,
        quantile=quantile,
        horizon_s=horizon_s,
        startup_s=startup_s,
        startups=len(pool.startups.seconds),
        history_s=float(demand.asked_s),
        skill=None if found is None else found.skill,
        models={}
        if found is None
        else {name: ModelForecast(*figures) for name, figures in found.models.items()},
        peak=peak * factor,
        carried_on=None
        if found is not None
        else (peak + _growth(past, modelled, load.decode_s) * horizon_s) * factor,
        input_tokens=inputs if requests else None,
        output_tokens=outputs if requests else None,
        early_miss_rate=pool.early_miss_rate,
        lowered_by=None if found is None else found.lowered_by,
    )


def _mean(modelled: Floats, known: Bools, last: int) -> float:
    """Of the last seconds that telemetry covers; of the newest one where it covers none."""
    heard = modelled[-last:][known[-last:]]
    return float(heard.mean()) if len(heard) else float(modelled[-1])


def _growth(past: Past, modelled: Floats, decode_s: float) -> float:
    """Replicas a second by which the need has been growing; 0 where it falls, or is too young.

    Of a steady need it is what is left a standard error below: over few minutes the slope of noise
    is not small. Bursts have no such error, and the next may well carry on.
    """
    known = past.known.copy()
    known[: math.ceil(past.opening_s(past.seconds, decode_s))] = False
    at = np.flatnonzero(known).astype(np.float64)
    if len(at) < LEAST_TREND_S:
        return 0.0
    need = modelled[known]
    slope, start = np.polyfit(at, need, 1)
    strays = math.sqrt(float(np.square(need - (slope * at + start)).mean()))
    if strays < BURSTY * float(need.mean()):
        # What comes within one decode time shares its batch: seconds are not independent.
        independent = len(at) / max(decode_s, BLOCK_S)
        if independent <= 2.0:
            return 0.0
        slope -= strays / math.sqrt(independent - 2.0) / float(at.std())
    return max(0.0, float(slope))


def _capacity(
    rule: PoolRule, pool: PoolLearner, load: Carrying, inputs: float, outputs: float
) -> Capacity:
    speed, learned = pool.speed.speed, pool.speed.learned
    factor = pool.calibration.factor
    carried = load.requests_per_s(speed, inputs, outputs) / factor
    guess = Basis.PRIOR if rule.profile is None else Basis.DECLARED
    return Capacity(
        basis=Basis.MEASURED if learned else guess,
        itl_base_s=speed.itl_base_s,
        itl_per_request_s=speed.itl_per_request_s,
        prefill_base_s=speed.prefill_base_s,
        prefill_per_token_s=speed.prefill_per_token_s,
        error=pool.speed.error,
        requests=pool.speed.requests,
        utilisation=load.utilisation,
        batch=load.batch,
        decode_s=load.decode_s,
        requests_per_s=carried,
        tokens_per_s=carried * (inputs + outputs),
        correction=factor,
        tested=pool.calibration.tested,
        meets=load.meets,
        drift=pool.drift.words,
    )

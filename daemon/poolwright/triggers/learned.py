"""Triggers that decide by what was learned: `slo` and `forecast`."""

import math
from typing import Final

from poolwright.capacity.calibration import TRIAL
from poolwright.model.assessment import Assessment, Share
from poolwright.model.decision import Proposal

QUEUE_PER_READY: Final = 2.0
EARLY_MISSES: Final = 0.1
"""Before anything is learned, a queue this long on every replica, or so many misses among the first
requests, are the only signs of need."""
LEAST_GROWTH: Final = 1.5
MOST_GROWTH: Final = 4.0
ENOUGH_REQUESTS: Final = 30.0
"""Of fewer that came, a queue does not say what replicas can take."""
LAST_S: Final = 60.0
"""Over which the demand of an assessment is a mean."""
NOTHING: Final = 1e-6
SLACK: Final = 0.15
"""A need that is beyond a whole number by less is met by it: no forecast is that exact."""
EARNED_SKILL: Final = 0.05
LOST_SKILL: Final = 0.0
HYSTERESIS: Final = 0.4
HYSTERESIS_SHARE: Final = 0.1
"""By so many replicas the need must be below a count before a larger one is given up, but by no
more than such a share of that count: a whole replica of two is not to be kept for a trifle."""
REGRETTED: Final = 0.9
"""By so many where the last one that was given up was wanted back."""


def slo(
    name: str,
    request_class: str,
    found: Assessment | None,
    blind: tuple[str, ...],
    *,
    current: int,
    ready: int,
    share: Share | None,
    regretted: bool = False,
) -> Proposal:
    """As many replicas as the SLO needs one start-up time ahead.

    While too little is known, it can ask for more (a queue, a rising level), never for fewer.
    """
    if found is None:
        return Proposal(name, "slo", None, {}, blind, detail=f"no demand of {request_class} seen")
    if share is not None and share.count is not None:
        # An accelerator: the plan over all pools counts for it.
        return Proposal(name, "slo", share.count, _evidence(found), blind, detail=share.detail)
    backlog = _backlog(found, ready) if found.learned else 0.0
    if not found.learned:
        replicas, detail = _before_learning(found, current, ready)
    elif found.upper is None:
        # Of few peaks, the next may well be as high as the highest so far.
        most = found.peak if found.carried_on is None else found.carried_on
        replicas = max(current, _ceil(max(found.level, most or 0.0) + backlog))
        detail = f"{found.history_s:.0f} s of history are too little for a forecast"
    else:
        replicas = _ceil(found.upper + backlog)
        # Below what was ever tried, one step at a time: the model may be wrong there.
        careful = _ceil(found.upper / min(1.0, found.capacity.tested + TRIAL))
        # Nor down and up again where the need hovers around a whole number.
        margin = min(HYSTERESIS, HYSTERESIS_SHARE * replicas)
        sure, surer = (_ceil(found.upper + more + backlog) for more in (margin, REGRETTED))
        least = max(replicas, min(max(careful, sure), current))
        replicas = max(least, min(surer, current)) if regretted else least
        detail = (
            f"{found.upper:.2f} needed in {found.horizon_s:.0f} s at the "
            f"{found.quantile:.1%} quantile, {found.need:.2f} now"
        )
        if backlog:
            detail += f", {backlog:.2f} for the queue"
        if replicas > least:
            detail += f"; {replicas} kept, as the last one that was given up was wanted back"
    if not found.capacity.meets:
        detail += f"; no load of this pool meets the SLO of {request_class}"
    evidence = _evidence(found)
    if backlog:
        evidence["backlog"] = backlog
    return Proposal(name, "slo", replicas, evidence, blind, detail=detail)


def forecast(name: str, found: Assessment | None, *, trusted: bool) -> tuple[Proposal, bool]:
    """A floor from the forecast, and whether it is trusted from now on.

    It is advice until it has beaten the naive forecast on this service's own history, and again
    once it no longer does. It never asks for less than there is: a floor is no reason to shrink.
    """
    if found is None or found.upper is None or found.skill is None or not found.learned:
        detail = "too little history for a forecast"
        return Proposal(name, "forecast", None, {}, detail=detail), False
    trusted = found.skill > (LOST_SKILL if trusted else EARNED_SKILL)
    asked = _ceil(found.upper)
    detail = (
        f"{found.upper:.2f} needed in {found.horizon_s:.0f} s "
        f"at the {found.quantile:.1%} quantile; the best model's loss is {abs(found.skill):.0%} "
        f"{'below' if found.skill >= 0 else 'above'} the naive one's"
    )
    if not trusted:
        detail += f"; advice only, it would ask for {asked}"
    evidence = _evidence(found) | {"skill": found.skill, "asked": float(asked)}
    return Proposal(name, "forecast", asked if trusted else None, evidence, detail=detail), trusted


def _ceil(need: float) -> int:
    """Whole replicas; of any need at all, one."""
    return max(math.ceil(need - SLACK), int(need > NOTHING))


def _before_learning(found: Assessment, current: int, ready: int) -> tuple[int, str]:
    detail = f"still learning ({found.capacity.requests:.0f} requests ended)"
    queueing = found.waiting is not None and found.waiting >= QUEUE_PER_READY * max(ready, 1)
    missing = found.early_miss_rate is not None and found.early_miss_rate >= EARLY_MISSES
    if not queueing and not missing:
        return current, detail
    if queueing:
        detail += f", and {found.waiting:.0f} requests wait"
    if missing:
        detail += f", and {found.early_miss_rate:.0%} of the first missed their SLO"
    # Counted from the ready replicas, so that a slow start is no runaway.
    growth = LEAST_GROWTH
    came = found.demand_per_s * min(found.history_s, LAST_S)
    if queueing and found.waiting is not None and came >= ENOUGH_REQUESTS:
        # The ready replicas took what came but for the queue, in the time that it came in.
        growth = max(growth, came / max(came - found.waiting, came / MOST_GROWTH))
    return max(current, ready + 1, math.ceil(ready * growth)), detail


def _backlog(found: Assessment, ready: int) -> float:
    """Replicas for a queue that would still be there when they are ready."""
    carried = found.capacity.requests_per_s
    if not found.waiting or carried <= 0.0:
        return 0.0
    spare = max(carried * ready - found.demand_per_s, 0.0)
    left = found.waiting - spare * found.startup_s
    return max(0.0, left) / (carried * found.startup_s)


def _evidence(found: Assessment) -> dict[str, float]:
    evidence = {
        "need": found.need,
        "level": found.level,
        "demand_per_s": found.demand_per_s,
        "carried_per_s": found.capacity.requests_per_s,
        "correction": found.capacity.correction,
        "startup_s": found.startup_s,
    }
    if found.upper is not None and found.expected is not None:
        evidence |= {"upper": found.upper, "expected": found.expected}
    if found.waiting is not None:
        evidence["waiting"] = found.waiting
    return evidence

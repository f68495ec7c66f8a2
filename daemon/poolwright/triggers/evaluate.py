"""One trigger at one instant: `(trigger, view, memory) -> (proposal, memory)`.

A trigger without a usable signal has no opinion and says which signals it lacked; it never takes
an absent number for zero. A trigger that does not fire has no opinion either, so that a quiet
rule does not hold a pool up or down.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from poolwright.model.assessment import Assessment, Share
from poolwright.model.decision import Proposal
from poolwright.model.rule import (
    Change,
    ForecastTrigger,
    ScheduleTrigger,
    SloTrigger,
    TargetTrigger,
    ThresholdTrigger,
    Trigger,
)
from poolwright.model.signal import Signal
from poolwright.triggers import learned

SLIGHT: Final = 0.5
LASTING_S: Final = 20.0
"""A need of so few replicas more must last so long."""
REGRET_S: Final = 3600.0
"""One more that is wanted so soon after one was given up: the need hovers around that count."""


@dataclass(frozen=True, slots=True)
class TriggerMemory:
    """What a trigger remembers between ticks (times in epoch seconds)."""

    holding_since: float | None = None
    kept_until: float | None = None
    kept_replicas: int | None = None
    trusted: bool = False
    """A forecast that beats the naive one on this service's own history."""
    seen_replicas: int | None = None
    """The count at the last tick."""
    given_up_at: float | None = None
    """When a replica was last given up."""
    regretted_at: float | None = None
    """When it was wanted back soon after that."""
    slightly_short_since: float | None = None
    """Since when hardly more than the count has been needed without a break."""


@dataclass(frozen=True, slots=True)
class View:
    """What a trigger may see of its pool. `current` is the count that the pool was last told."""

    at: float
    current: int
    ready: int
    signals: Mapping[str, Signal]
    values: Mapping[str, float]
    """The usable signals only."""
    assessments: Mapping[str, Assessment] = field(default_factory=dict)
    """By the trigger that asked for it."""
    share: Share | None = None
    """Of the service's demand, by the plan over its pools."""


def evaluate(trigger: Trigger, view: View, memory: TriggerMemory) -> tuple[Proposal, TriggerMemory]:
    """The trigger's proposal and what it remembers for the next tick."""
    match trigger:
        case ThresholdTrigger():
            return _threshold(trigger, view, memory)
        case TargetTrigger():
            return _target(trigger, view), memory
        case ScheduleTrigger():
            return _schedule(trigger, view), memory
        case SloTrigger():
            return _slo(trigger, view, memory)
        case ForecastTrigger():
            return _forecast(trigger, view, memory)
        case _:
            assert_never(trigger)


def _blind(names: Iterable[str], view: View) -> tuple[str, ...]:
    return tuple(name for name in sorted(names) if view.signals[name].blocks_scale_down)


def _threshold(
    trigger: ThresholdTrigger, view: View, memory: TriggerMemory
) -> tuple[Proposal, TriggerMemory]:
    blind = _blind(trigger.when.names, view)
    evidence = {
        name: view.values[name] for name in sorted(trigger.when.names) if name in view.values
    }
    removes = trigger.change is Change.REMOVE
    holds = trigger.when.evaluate(view.values)
    if removes and blind:
        holds = None
    since = memory.holding_since
    if holds is True and since is None:
        since = view.at
    elif holds is False or (holds is None and removes):
        since = None
    replicas: int | None = None
    kept_until, kept_replicas = memory.kept_until, memory.kept_replicas
    detail = f"`{trigger.when.source}` is {_word(holds)}"
    if holds is True and since is not None and view.at - since >= trigger.for_s:
        replicas = _wish(trigger, view)
        if trigger.keep_s:
            if kept_replicas is not None and kept_until is not None and view.at < kept_until:
                replicas = max(replicas, kept_replicas)
            kept_until, kept_replicas = view.at + trigger.keep_s, replicas
    elif kept_until is not None and kept_replicas is not None and view.at < kept_until:
        replicas = kept_replicas
        detail += f"; kept for {kept_until - view.at:.0f} s more"
    elif holds is True:
        detail += f", but not yet for {trigger.for_s:g} s"
    proposal = Proposal(trigger.name, "threshold", replicas, evidence, blind, since, detail)
    return proposal, TriggerMemory(since, kept_until, kept_replicas)


def _word(holds: bool | None) -> str:
    return "undecidable" if holds is None else str(holds).lower()


def _wish(trigger: ThresholdTrigger, view: View) -> int:
    match trigger.change:
        case Change.ADD:
            # Counted from the ready replicas: while earlier additions are still starting, the same
            # condition asks for the same count, so that a slow start is no runaway.
            return max(view.current, view.ready + trigger.amount.of(view.ready))
        case Change.REMOVE:
            return max(0, view.current - trigger.amount.of(view.current))
        case Change.SET:
            return trigger.amount.replicas
        case _:
            assert_never(trigger.change)


def _target(trigger: TargetTrigger, view: View) -> Proposal:
    blind = _blind((trigger.signal,), view)
    value = view.values.get(trigger.signal)
    if value is None:
        return Proposal(trigger.name, "target", None, {}, blind, detail="no usable value")
    ratio = value / trigger.per_replica
    evidence = {trigger.signal: value, "per_replica": trigger.per_replica, "replicas": ratio}
    wanted = math.ceil(ratio - 1e-9)
    if wanted > view.current:
        # Within the tolerance above the target, the current replicas will do.
        replicas = view.current if ratio <= view.current * (1 + trigger.tolerance) else wanted
    else:
        # Fewer only if they would stand below the target by the tolerance: no flapping by one.
        replicas = min(view.current, math.ceil(ratio / (1 - trigger.tolerance) - 1e-9))
    detail = f"{trigger.signal} {value:g} at {trigger.per_replica:g} a replica is {ratio:.2f}"
    return Proposal(trigger.name, "target", replicas, evidence, blind, detail=detail)


def _slo(trigger: SloTrigger, view: View, memory: TriggerMemory) -> tuple[Proposal, TriggerMemory]:
    given_up_at, regretted_at = memory.given_up_at, memory.regretted_at
    if memory.seen_replicas is not None and view.current < memory.seen_replicas:
        given_up_at = view.at
    proposal = learned.slo(
        trigger.name,
        trigger.request_class,
        view.assessments.get(trigger.name),
        _blind(("demand",), view),
        current=view.current,
        ready=view.ready,
        share=view.share,
        regretted=_lately(regretted_at, view.at),
    )
    short_since = None
    if proposal.replicas == view.current + 1 and _slightly(proposal, view):
        was_short = memory.slightly_short_since
        short_since = view.at if was_short is None else was_short
        if view.at - short_since < LASTING_S:
            # Noise has passed by the time that another replica would be ready.
            detail = f"{proposal.detail}; one more if that lasts"
            proposal = replace(proposal, replicas=view.current, detail=detail)
    if proposal.replicas == view.current + 1 and _lately(given_up_at, view.at):
        given_up_at, regretted_at = None, view.at
    return proposal, TriggerMemory(
        seen_replicas=view.current,
        given_up_at=given_up_at,
        regretted_at=regretted_at,
        slightly_short_since=short_since,
    )


def _slightly(proposal: Proposal, view: View) -> bool:
    """Whether the forecast is hardly beyond the count that there is."""
    if view.share is not None and view.share.count is not None:
        return False
    upper = proposal.evidence.get("upper", math.inf) + proposal.evidence.get("backlog", 0.0)
    return upper <= view.current + SLIGHT


def _lately(then: float | None, now: float) -> bool:
    return then is not None and now - then < REGRET_S


def _forecast(
    trigger: ForecastTrigger, view: View, memory: TriggerMemory
) -> tuple[Proposal, TriggerMemory]:
    proposal, trusted = learned.forecast(
        trigger.name, view.assessments.get(trigger.name), trusted=memory.trusted
    )
    return proposal, TriggerMemory(trusted=trusted)


def _schedule(trigger: ScheduleTrigger, view: View) -> Proposal:
    active = trigger.schedule.active(view.at)
    replicas = trigger.min_replicas if active else None
    detail = f"{trigger.schedule.cron} ({trigger.schedule.tz}) {'is' if active else 'not'} active"
    return Proposal(trigger.name, "schedule", replicas, {}, detail=detail)

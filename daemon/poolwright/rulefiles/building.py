"""A checked shape to the core's frozen rules, in seconds, USD and fractions."""

import re

from poolwright.model.rule import (
    AdvantageRule,
    Change,
    ClassRule,
    Condition,
    DirectionLimit,
    ForecastTrigger,
    Freeze,
    Limits,
    PoolRule,
    Profile,
    Schedule,
    ScheduleTrigger,
    ServiceRule,
    SignalRule,
    SloTrigger,
    TargetTrigger,
    ThresholdTrigger,
    Trigger,
)
from poolwright.rulefiles import schedules
from poolwright.rulefiles.checks import BUILTINS, Names
from poolwright.rulefiles.conditions import (
    ConditionError,
    compile_condition,
    is_usable_name,
    names_in,
)
from poolwright.rulefiles.document import Document, Path
from poolwright.rulefiles.shapes import DirectionShape, PoolShape, RuleFile, SpanShape, TriggerShape


def build(document: Document, rules: RuleFile, names: Names) -> ServiceRule:
    """Conditions and schedules that cannot be made are added to the document's problems."""
    triggers = [
        trigger
        for i, shape in enumerate(rules.triggers)
        if (trigger := _trigger(document, ("triggers", i), shape, names))
    ]
    used = {name for trigger in triggers for name in _signals_of(trigger)}
    signals = [
        SignalRule(n, s.metric, s.stat, s.window, s.across, s.request_class, s.max_age, s.quorum)
        for n, s in rules.signals.items()
    ]
    signals += [SignalRule(n, n, "last", 60.0, builtin=True) for n in BUILTINS if n in used]
    return ServiceRule(
        rules.service,
        rules.mode,
        tuple(ClassRule(n, c.ttft, c.itl, c.e2e, c.attainment) for n, c in rules.classes.items()),
        tuple(_pool(pool) for pool in rules.pools),
        tuple(signals),
        tuple(triggers),
        _limits(document, rules),
        rules.heartbeat,
        document.file,
    )


def _signals_of(trigger: Trigger) -> frozenset[str]:
    match trigger:
        case ThresholdTrigger():
            return trigger.when.names
        case TargetTrigger():
            return frozenset({trigger.signal})
        case SloTrigger() | ForecastTrigger():
            return frozenset({"demand"})
        case ScheduleTrigger():
            return frozenset()


def _trigger(  # noqa: PLR0911  one line a kind
    document: Document, path: Path, t: TriggerShape, names: Names
) -> Trigger | None:
    """One of the kinds; None where it cannot be made."""
    if t.when is not None:
        condition = _condition(document, (*path, "when"), t.when, names)
        change = Change.ADD if t.add else Change.REMOVE if t.remove else Change.SET
        amount = t.add or t.remove or t.set
        if condition is None or amount is None:
            return None
        return ThresholdTrigger(t.name, condition, change, amount, t.for_, t.keep, t.pool)
    if t.target is not None:
        goal = t.target
        return TargetTrigger(t.name, goal.signal, goal.per_replica, goal.tolerance, t.pool)
    if t.slo is not None:
        return SloTrigger(t.name, t.slo, t.pool)
    if t.forecast is not None:
        return ForecastTrigger(t.name, t.forecast.horizon or None, t.forecast.quantile, t.pool)
    if t.schedule is not None:
        span = _schedule(document, (*path, "schedule"), t.schedule)
        return ScheduleTrigger(t.name, span, t.schedule.min, t.pool) if span else None
    return None


def _condition(document: Document, path: Path, source: str, names: Names) -> Condition | None:
    text = source
    for odd in sorted(names.signals or (), key=len, reverse=True):
        if not is_usable_name(odd):
            # It has been complained about where it is defined.
            text = text.replace(odd, re.sub(r"\W", "_", f"_{odd[1:]}", flags=re.ASCII))
    known = frozenset((*(names.signals or ()), *BUILTINS))
    assumed = names_in(text) if names.signals is None else names_in(text) - names_in(source)
    try:
        return compile_condition(text, frozenset(filter(is_usable_name, known | assumed)))
    except ConditionError as error:
        for mistake in error.mistakes:
            document.add_in_text(path, mistake.offset, mistake.message, mistake.hint)
    return None


def _schedule(document: Document, path: Path, span: SpanShape) -> Schedule | None:
    wrong = False
    for check, written in ((schedules.check_cron, span.start), (schedules.check_zone, span.tz)):
        try:
            check(written)
        except schedules.ScheduleError as error:
            document.add((*path, error.key), str(error), error.hint)
            wrong = True
    return None if wrong else schedules.make(span.start, span.tz, span.lasts)


def _pool(p: PoolShape) -> PoolRule:
    provider, target = next(iter(p.provider.items()))
    r, a = p.profile, p.advantage
    return PoolRule(
        p.name,
        p.role,
        provider,
        target,
        p.replicas.min,
        p.replicas.max,
        p.price,
        p.startup,
        p.lease,
        tuple(p.serves),
        Profile(r.itl_base, r.itl_per_request, r.prefill_base, r.prefill_per_token, r.max_batch)
        if r
        else None,
        AdvantageRule(a.economic, a.performance, a.held_for, a.min_utilisation) if a else None,
        p.replicas.zero_after,
        p.outside_change,
    )


def _direction(shape: DirectionShape | None, default: DirectionLimit) -> DirectionLimit:
    if shape is None:
        return default
    return DirectionLimit(shape.step, shape.per, shape.stabilise, shape.cooldown)


def _limits(document: Document, rules: RuleFile) -> Limits:
    shape, default = rules.limits, Limits()
    spans = [
        (f, _schedule(document, ("limits", "freeze", i), f)) for i, f in enumerate(shape.freeze)
    ]
    return Limits(
        _direction(shape.up, default.up),
        _direction(shape.down, default.down),
        shape.budget,
        tuple(Freeze(f.name, span, f.direction) for f, span in spans if span),
    )

"""A checked shape to the core's frozen rules, in seconds, USD and fractions."""

from poolwright.model.rule import (
    AdvantageRule,
    Amount,
    Change,
    ClassRule,
    Condition,
    DirectionLimit,
    Freeze,
    Limits,
    PoolRule,
    Profile,
    Schedule,
    ScheduleTrigger,
    ServiceRule,
    SignalRule,
    TargetTrigger,
    ThresholdTrigger,
    Trigger,
)
from poolwright.rulefiles import schedules
from poolwright.rulefiles.checks import BUILTINS, did_you_mean
from poolwright.rulefiles.conditions import ConditionError, compile_condition
from poolwright.rulefiles.document import Document, Path
from poolwright.rulefiles.shapes import DirectionShape, PoolShape, RuleFile, SpanShape


def build(document: Document, rules: RuleFile) -> ServiceRule:
    """Conditions and schedules that cannot be made are added to the document's problems."""
    known = frozenset((*rules.signals, *BUILTINS))
    signals = [
        SignalRule(n, s.metric, s.stat, s.window, s.across, s.request_class, s.max_age, s.quorum)
        for n, s in rules.signals.items()
    ]
    triggers: list[Trigger] = []
    used: set[str] = set()
    for i, t in enumerate(rules.triggers):
        path: Path = ("triggers", i)
        if t.target:
            used.add(t.target.signal)
            goal = t.target
            triggers.append(
                TargetTrigger(t.name, goal.signal, goal.per_replica, goal.tolerance, t.pool)
            )
        elif t.schedule:
            span = _schedule(document, (*path, "schedule"), t.schedule)
            if span:
                triggers.append(ScheduleTrigger(t.name, span, t.schedule.min, t.pool))
        elif condition := _condition(document, (*path, "when"), t.when or "", known):
            used |= condition.names
            change = Change.ADD if t.add else Change.REMOVE if t.remove else Change.SET
            amount = t.add or t.remove or t.set or Amount()
            triggers.append(
                ThresholdTrigger(t.name, condition, change, amount, t.for_, t.keep, t.pool)
            )
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


def _condition(
    document: Document, path: Path, source: str, known: frozenset[str]
) -> Condition | None:
    try:
        return compile_condition(source, known)
    except ConditionError as error:
        line, column = document.text_starts.get(path, document.place(path))
        in_block = line != document.place(path)[0]
        indent = column - 1 if in_block or error.line == 1 else 0
        place = (line + error.line - 1, error.column + indent)
        document.values[*path, "cel"] = place
        hint = did_you_mean(error.undeclared, sorted(known)) if error.undeclared else ""
        document.add((*path, "cel"), str(error), hint)
    return None


def _schedule(document: Document, path: Path, span: SpanShape) -> Schedule | None:
    try:
        return schedules.make(span.start, span.tz, span.lasts)
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        document.add((*path, "tz" if "time zone" in message else "start"), message, hint)
    return None


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

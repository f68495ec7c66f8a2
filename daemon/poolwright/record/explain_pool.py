"""Why a pool has its count: what it has, what led to it, and what would change it."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from poolwright.model.decision import Decision, Proposal, Reason
from poolwright.model.rule import (
    Change,
    DirectionLimit,
    Mode,
    PoolRule,
    ServiceRule,
    SignalRule,
    TargetTrigger,
    ThresholdTrigger,
)
from poolwright.record.absence import absence_at
from poolwright.record.advantage_view import advantage_rows, alternatives_table
from poolwright.record.explain import (
    ID_SHOWN,
    evidence,
    headline,
    limit_line,
    provider_sentence,
    signal_rules,
    wish,
)
from poolwright.record.first_to_go import first_to_go
from poolwright.record.learned import Row, learned_rows, learned_why
from poolwright.record.pool_story import Origin, PoolStory
from poolwright.record.sentences import REASONS
from poolwright.record.wording import ago, amount, duration, quantity, signal_line, when

SILENT_HEARTBEATS = 3
"""Without so many heartbeats the daemon is not at work, and the page says so."""


def explain_pool(story: PoolStory, now: float, rule: ServiceRule | None = None) -> Group:
    """The page. `rule` is the service's rule of the newest decision's revision."""
    latest = story.latest
    parts: list[RenderableType] = [
        Text(f"{story.pool} {_has(story)}", style="bold"),
        Text(f"as of the last decision, {when(latest.at, now)}"),
    ]
    silent_s = now - latest.at
    if rule is not None and silent_s > SILENT_HEARTBEATS * rule.heartbeat_s:
        parts.append(Text(f"Nothing was recorded for {duration(silent_s)}: is the daemon running?"))
    parts += _section(f"Why {story.count}", _why(story, now, rule))
    parts += _section("What happens now" if latest.acts else "Why it stays", _now(story, now, rule))
    parts += _section("What would change it", _next(latest, rule))
    parts += _section("What was learned", learned_rows(latest))
    advantage = latest.inputs.advantage
    if advantage is not None:
        rows = advantage_rows(advantage, absence_at(latest, story.absent_since, rule))
        parts += _section("Advantage over the default pools", rows)
        parts.append(Padding(alternatives_table(advantage), (0, 0, 0, 2)))
    parts += _section("Signals", _signals(latest, rule))
    return Group(*parts)


def _section(title: str, rows: Iterable[Row]) -> list[RenderableType]:
    """A title and its rows; nothing where there are none."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(Text(f"  {name}"), Text(text))
    return [Text(), Text(title, style="bold"), table] if table.row_count else []


def _has(story: PoolStory) -> str:
    report = story.latest.inputs.report
    word = "replica" if story.count == 1 else "replicas"
    if report is None:
        return f"is unknown: the provider has not reported lately; last known {story.count} {word}"
    going = f", {report.terminating} going" if report.terminating else ""
    told = "" if report.desired == story.count else f", the provider still says {report.desired}"
    return (
        f"has {story.count} {word}: {report.ready} ready, {report.starting} starting{going}{told}"
    )


def _why(story: PoolStory, now: float, rule: ServiceRule | None) -> Iterator[Row]:
    change = story.change
    if change is not None:
        signals = signal_rules(rule)
        yield "decided", f"{when(change.at, now)}: from {change.current} to {change.desired}"
        yield "because", _because(change, signals)
        for effect in change.limits:
            yield "limit", limit_line(effect)
        if not change.limits:
            yield "limits", "none changed the number"
        if (leaving := first_to_go(change)) is not None:
            yield "first to go", leaving
        yield "provider", provider_sentence(change, story.actions)
        yield "decision", f"poolwright explain {change.id[:ID_SHOWN]}"
    elif story.origin is Origin.OUTSIDE and story.before is not None:
        before = story.before
        yield "changed", f"no decision of Poolwright set it; seen first {when(story.since, now)}"
        yield (
            "",
            (
                f"the decision before, {when(before.at, now)}, saw {before.current}: somebody or"
                " something else changed the count in between (the provider's audit log knows who)"
            ),
        )
    else:
        yield "seen", f"ever since the journal begins, {when(story.since, now)}; no decision set it"
    if story.failed is not None:
        failed = story.failed
        outcome = provider_sentence(failed, story.failed_actions)
        yield "tried", f"{when(failed.at, now)}, {failed.desired} replicas: {outcome}"


def _because(change: Decision, signals: dict[str, SignalRule]) -> str:
    """The trigger that won: the highest proposal; without one, the bounds."""
    wishes = [p for p in change.proposals if p.replicas is not None]
    if change.reason is not Reason.PROPOSED or not wishes:
        return REASONS[change.reason]
    winner = max(wishes, key=lambda proposal: proposal.replicas or 0)
    learned = learned_why(winner, change.inputs, past=True)
    numbers = f"{winner.detail}{evidence(winner, signals)}" if learned is None else learned
    return f"{winner.trigger} asked for {winner.replicas}: {numbers}"


def _now(story: PoolStory, now: float, rule: ServiceRule | None) -> Iterator[Row]:
    latest = story.latest
    if not latest.acts:
        held = duration(now - story.held_since)
        yield "reason", f"{REASONS[latest.reason]} ({latest.reason}), for {held} now"
        for effect in latest.limits:
            yield "limit", limit_line(effect)
    else:
        yield "under way", f"{headline(latest)}, decided {ago(now - latest.at)}"
    report = latest.inputs.report
    if report is not None and report.short:
        yield "short", f"ordered replicas do not come: {report.short}"
    if rule is not None and rule.mode is not Mode.ACT:
        yield "mode", f"{rule.mode}: nothing is changed whatever the triggers ask for"


def _next(latest: Decision, rule: ServiceRule | None) -> Iterator[Row]:
    signals = signal_rules(rule)
    for proposal in latest.proposals:
        yield proposal.trigger, wish(proposal, latest, signals) + _condition(proposal, latest, rule)
    if not latest.proposals:
        yield "triggers", "no trigger belongs to this pool, or the pool is unknown"
    left_at = latest.evidence.get("left_at")
    if latest.reason is Reason.CHANGED_OUTSIDE and isinstance(left_at, float):
        yield "by hand", f"set it back to {left_at:g}, or write outside_change: adopt in its rule"
    if rule is None:
        return
    for pool in rule.pools:
        if pool.name == latest.pool:
            yield "bounds", _bounds(pool)
    yield "going up", _speed(rule.limits.up)
    yield "going down", _speed(rule.limits.down)


def _condition(proposal: Proposal, latest: Decision, rule: ServiceRule | None) -> str:
    """What the trigger waits for, where its rule says it in one sentence."""
    triggers = {} if rule is None else {trigger.name: trigger for trigger in rule.triggers}
    match triggers.get(proposal.trigger):
        case ThresholdTrigger() as trigger if proposal.replicas is None:
            verb = {Change.ADD: "adds", Change.REMOVE: "removes", Change.SET: "sets"}
            held = f"true for {duration(trigger.for_s)}" if trigger.for_s else "true"
            return f". It {verb[trigger.change]} {amount(trigger.amount)} once that is {held}"
        case TargetTrigger() as trigger if proposal.replicas is not None:
            signal = signal_rules(rule).get(trigger.signal)
            count, each = latest.current, trigger.per_replica
            more = quantity(count * each * (1 + trigger.tolerance), signal)
            fewer = quantity((count - 1) * each * (1 - trigger.tolerance), signal)
            lower = f", for fewer at {fewer} or below" if count > 0 else ""
            return f". It asks for more than {count} above {more}{lower}"
        case _:
            return ""


def _bounds(pool: PoolRule) -> str:
    return f"{pool.min_replicas} to {pool.max_replicas} replicas"


def _speed(limit: DirectionLimit) -> str:
    parts = [f"at most {amount(limit.step)} in {duration(limit.per_s)}"]
    if limit.stabilise_s:
        parts.append(f"once it was wanted for {duration(limit.stabilise_s)} without a break")
    if limit.cooldown_s:
        parts.append(f"not within {duration(limit.cooldown_s)} of the last change")
    return ", ".join(parts)


def _signals(latest: Decision, rule: ServiceRule | None) -> Iterator[Row]:
    signals = signal_rules(rule)
    for signal in latest.inputs.signals:
        name, _, rest = signal_line(signal, signals.get(signal.name)).partition(" ")
        yield name, rest.removeprefix("= ")


def explain_pool_dict(story: PoolStory) -> dict[str, Any]:
    """The same for machines."""
    body: dict[str, Any] = msgspec.to_builtins(story)
    body["sentence"] = f"{story.pool} {_has(story)}"
    return body

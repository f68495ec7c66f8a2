"""A decision as a tree, in words for someone who was woken up by it."""

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.text import Text
from rich.tree import Tree

from poolwright.model.decision import Decision, LimitEffect, Proposal
from poolwright.model.pool import ActionStatus
from poolwright.model.rule import ServiceRule, SignalRule
from poolwright.record.absence import Absence, absence_at
from poolwright.record.advantage_view import advantage_rows, alternatives_table
from poolwright.record.first_to_go import first_to_go
from poolwright.record.journal import StoredAction, StoredDecision
from poolwright.record.learned import learned_rows, learned_why
from poolwright.record.sentences import CAUSES, OUTCOMES, REASONS
from poolwright.record.wording import brief_duration, duration, quantity, signal_line, when

ID_SHOWN = 12


def explain(
    decision: Decision,
    actions: Sequence[StoredAction],
    now: float,
    rule: ServiceRule | None = None,
    absent_since: float | None = None,
) -> Tree:
    """The tree: what, why, triggers, limits, what was learned, signals, and what the provider did.

    `rule` is the service's rule of the decision's revision: it names units and statistics. `now`
    is what times are told against, in epoch seconds; `absent_since` is of `record.absence`.
    """
    signals = signal_rules(rule)
    tree = Tree(Text(f"{headline(decision)}, at {when(decision.at, now)}"))
    _add(tree, f"because {REASONS[decision.reason]} ({decision.reason})")
    triggers = _add(tree, "triggers")
    for proposal in decision.proposals:
        _add(triggers, f"{proposal.trigger}: {wish(proposal, decision, signals)}")
    if not decision.proposals:
        _add(triggers, "none belongs to this pool, or the pool is unknown")
    limits = _add(tree, "limits that changed the number")
    for effect in decision.limits:
        _add(limits, limit_line(effect))
    if not decision.limits:
        _add(limits, "none")
    _learned(tree, decision, absence_at(decision, absent_since, rule))
    shown = _add(tree, "signals")
    for signal in decision.inputs.signals:
        _add(shown, signal_line(signal, signals.get(signal.name)))
    pool = _add(tree, "pool")
    _add(pool, replicas(decision))
    left_at = decision.evidence.get("left_at")
    if isinstance(left_at, float):
        _add(pool, f"somebody else changed the count: it was left at {left_at:g}")
    cost = decision.evidence.get("cost_usd_per_hour")
    if cost is not None:
        _add(pool, f"costs {cost:g} USD/h at {decision.desired} replicas")
    if (leaving := first_to_go(decision)) is not None:
        _add(pool, f"first to go: {leaving}")
    _actions(tree, decision, actions)
    _add(tree, f"rules {decision.rules_revision}, decision and trace {decision.id}")
    return tree


def _learned(tree: Tree, decision: Decision, absence: Absence | None) -> None:
    rows = list(learned_rows(decision))
    if rows:
        branch = _add(tree, "what was learned")
        for name, text in rows:
            _add(branch, f"{name}: {text}")
    advantage = decision.inputs.advantage
    if advantage is not None:
        branch = _add(tree, "advantage over the default pools")
        for name, text in advantage_rows(advantage, absence):
            _add(branch, f"{name}: {text}")
        branch.add(alternatives_table(advantage))


def _add(tree: Tree, text: str) -> Tree:
    """Conditions and providers' answers may hold brackets, which are no markup."""
    return tree.add(Text(text))


def limit_line(effect: LimitEffect) -> str:
    return f"{effect.limit}: {effect.before} became {effect.after}; {effect.detail}"


def signal_rules(rule: ServiceRule | None) -> dict[str, SignalRule]:
    return {} if rule is None else {signal.name: signal for signal in rule.signals}


def headline(decision: Decision) -> str:
    """Pool, outcome and counts."""
    change = (
        f"at {decision.current} replicas"
        if decision.desired == decision.current
        else f"from {decision.current} to {decision.desired} replicas"
    )
    return f"{decision.pool}: {OUTCOMES[decision.outcome]} {change}"


def wish(proposal: Proposal, decision: Decision, signals: dict[str, SignalRule]) -> str:
    """What a trigger of the decision asked for and on which numbers."""
    asked = "no opinion" if proposal.replicas is None else f"asks for {proposal.replicas}"
    lacked = f"; lacks {', '.join(proposal.blind)}" if proposal.blind else ""
    learned = learned_why(proposal, decision.inputs)
    if learned is not None:
        return f"{asked}: {learned}{lacked}"
    return f"{asked}{lacked}; {proposal.detail}{evidence(proposal, signals)}"


def evidence(proposal: Proposal, signals: dict[str, SignalRule]) -> str:
    """The numbers in brackets; none where the trigger's own sentence holds them all."""
    if proposal.kind == "target" or not proposal.evidence:
        return ""
    numbers = ", ".join(
        f"{name} {quantity(value, signals.get(name))}" for name, value in proposal.evidence.items()
    )
    return f" ({numbers})"


def replicas(decision: Decision) -> str:
    """What the provider said of the pool."""
    report = decision.inputs.report
    if report is None:
        return "unknown: the provider has not reported"
    age_s = decision.at - report.at
    going = f", {report.terminating} going" if report.terminating else ""
    short = f"; ordered replicas do not come: {report.short}" if report.short else ""
    return (
        f"{report.ready} ready, {report.starting} starting{going}, told {report.desired}"
        f" (reported {age_s:.0f} s before){short}"
    )


def cause_words(cause: str) -> str:
    """`: sentence (cause)`, or nothing without a cause."""
    if not cause:
        return ""
    return f": {CAUSES[cause]} ({cause})" if cause in CAUSES else f": {cause}"


def provider_sentence(decision: Decision, actions: Sequence[StoredAction]) -> str:
    """What the provider did, in one sentence."""
    if not decision.acts:
        return "nothing was called"
    parts: list[str] = []
    for action in actions:
        report = action.report
        after = f"after {brief_duration(report.at - decision.at)}"
        match report.status:
            case ActionStatus.STARTED:
                continue
            case ActionStatus.DONE:
                parts.append(f"took the order {after}{_tries(action)}")
            case ActionStatus.CONFIRMED if report.startup_s is not None:
                parts.append(
                    f"all {decision.desired} replicas were ready {duration(report.startup_s)} later"
                    " (start-up measured)"
                )
            case ActionStatus.CONFIRMED:
                parts.append(f"settled at {decision.desired} replicas {after}")
            case ActionStatus.REFUSED:
                parts.append(f"not carried out{cause_words(report.cause)}{_tries(action)}")
            case ActionStatus.GIVEN_UP:
                parts.append(f"given up {after}{cause_words(report.cause)}")
    if parts:
        return "; ".join(parts)
    return "was asked and has not answered yet" if actions else "no call is recorded yet"


def _tries(action: StoredAction) -> str:
    errors = [attempt.error for attempt in action.attempts if attempt.error]
    if not errors:
        return ""
    return f", {len(errors)} of {len(action.attempts)} calls failed, the last: {errors[-1]}"


def _actions(tree: Tree, decision: Decision, actions: Sequence[StoredAction]) -> None:
    if not decision.acts:
        _add(tree, "nothing was called")
        return
    branch = _add(tree, "what the provider did")
    told = 0
    for action in actions:
        report = action.report
        ready = (
            "" if report.startup_s is None else f", replicas ready after {report.startup_s:.0f} s"
        )
        after = brief_duration(report.at - decision.at)
        node = _add(branch, f"{report.status} after {after}{cause_words(report.cause)}{ready}")
        # Each status carries the calls up to then: those already told are not told again.
        for attempt in action.attempts[told:]:
            told += 1
            detail = f": {attempt.detail}" if attempt.detail else ""
            _add(node, f"call {told}: {attempt.error or 'answered'}{detail}")
    if not actions:
        _add(branch, "no answer is recorded yet")


def explain_dict(stored: StoredDecision, actions: Sequence[StoredAction]) -> dict[str, Any]:
    """The same for machines; memory bytes as base64."""
    body: dict[str, Any] = msgspec.to_builtins(
        {"decision": stored.decision, "actions": list(actions)}
    )
    body["sentence"] = f"{headline(stored.decision)}: {REASONS[stored.decision.reason]}"
    return body

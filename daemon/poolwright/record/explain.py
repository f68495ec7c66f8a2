"""A decision as a tree, in words for someone who was woken up by it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.tree import Tree

from poolwright.model.decision import Decision, Proposal
from poolwright.model.signal import Signal, SignalStatus
from poolwright.record.journal import StoredAction, StoredDecision
from poolwright.record.sentences import OUTCOMES, REASONS


def explain(stored: StoredDecision, actions: Sequence[StoredAction]) -> Tree:
    """The tree: what, why, triggers, limits, signals, and what the provider did."""
    decision = stored.decision
    when = datetime.fromtimestamp(decision.at, UTC).isoformat(timespec="seconds")
    tree = Tree(f"{_headline(decision)}, at {when}", highlight=False)
    tree.add(f"because {REASONS[decision.reason]} ({decision.reason})")
    triggers = tree.add("triggers")
    for proposal in decision.proposals:
        triggers.add(_proposal(proposal))
    if not decision.proposals:
        triggers.add("none belongs to this pool, or the pool is unknown")
    limits = tree.add("limits that changed the number")
    for effect in decision.limits:
        limits.add(f"{effect.limit}: {effect.before} became {effect.after}; {effect.detail}")
    if not decision.limits:
        limits.add("none")
    signals = tree.add("signals")
    for signal in decision.inputs.signals:
        signals.add(_signal(signal))
    pool = tree.add("pool")
    report = decision.inputs.report
    if report is None:
        pool.add("unknown: the provider has not reported")
    else:
        age_s = decision.at - report.at
        pool.add(
            f"{report.ready} ready, {report.starting} starting, told {report.desired}"
            f" (reported {age_s:.0f} s before)"
        )
    cost = decision.evidence.get("cost_usd_per_hour")
    if cost is not None:
        pool.add(f"costs {cost:g} USD/h at {decision.desired} replicas")
    _actions(tree, decision, actions)
    tree.add(f"rules {decision.rules_revision}, decision and trace {decision.id}")
    return tree


def _headline(decision: Decision) -> str:
    change = (
        f"at {decision.current} replicas"
        if decision.desired == decision.current
        else f"from {decision.current} to {decision.desired} replicas"
    )
    return f"{decision.pool}: {OUTCOMES[decision.outcome]} {change}"


def _proposal(proposal: Proposal) -> str:
    wish = "no opinion" if proposal.replicas is None else f"asks for {proposal.replicas}"
    lacked = f"; lacks {', '.join(proposal.blind)}" if proposal.blind else ""
    numbers = ", ".join(f"{name} {value:g}" for name, value in proposal.evidence.items())
    shown = f" ({numbers})" if numbers else ""
    return f"{proposal.trigger}: {wish}{lacked}; {proposal.detail}{shown}"


def _signal(signal: Signal) -> str:
    age = "" if signal.age_s is None else f", newest sample {signal.age_s:.0f} s old"
    quorum = (
        f", {signal.replicas_reporting} of {signal.replicas_expected} replicas"
        if signal.replicas_expected
        else ""
    )
    if signal.status is SignalStatus.FRESH and signal.value is not None:
        return f"{signal.name} = {signal.value:.4g} ({signal.samples} samples{age}{quorum})"
    return f"{signal.name} is {signal.status} ({signal.why}{age}{quorum})"


def _actions(tree: Tree, decision: Decision, actions: Sequence[StoredAction]) -> None:
    if not decision.acts:
        tree.add("nothing was called")
        return
    branch = tree.add("what the provider did")
    for action in actions:
        report = action.report
        cause = f", {report.cause}" if report.cause else ""
        took = (
            "" if report.startup_s is None else f", replicas ready after {report.startup_s:.0f} s"
        )
        after_s = report.at - decision.at
        node = branch.add(f"{report.status} after {after_s:.1f} s{cause}{took}")
        for number, attempt in enumerate(action.attempts, 1):
            result = attempt.error or "answered"
            detail = f": {attempt.detail}" if attempt.detail else ""
            node.add(f"call {number}: {result}{detail}")
    if not actions:
        branch.add("no answer is recorded yet")


def explain_dict(stored: StoredDecision, actions: Sequence[StoredAction]) -> dict[str, Any]:
    """The same for machines; memory bytes as base64."""
    body: dict[str, Any] = msgspec.to_builtins(
        {"decision": stored.decision, "actions": list(actions)}
    )
    body["sentence"] = f"{_headline(stored.decision)}: {REASONS[stored.decision.reason]}"
    return body

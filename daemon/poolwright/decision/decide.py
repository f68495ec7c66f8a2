"""One pool at one instant: signals and memory in, a verdict and new memory out.

The order of the merge is the one that docs/architecture.md promises: the highest proposal wins,
then the limits of `poolwright.decision.limits`, in their order; the bounds last. After them comes
what the fleet asks back.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from poolwright.decision.draining import least_loaded
from poolwright.decision.idling import fold_quiet
from poolwright.decision.limits import (
    AT_REST,
    ORDER,
    Draft,
    apply_limits,
    asked_back,
    claim,
    give_back,
    keeps,
)
from poolwright.decision.memory import (
    Command,
    Leaving,
    PoolMemory,
    Recorded,
    current_count,
    decode_memory,
    encode_memory,
    fold_count,
    fold_leaving,
    fold_wish,
    last_count,
)
from poolwright.decision.merging import case_of, change_reason, holding, merge
from poolwright.decision.outside import fold_ours
from poolwright.model.decision import (
    Decision,
    LimitEffect,
    Outcome,
    PoolInputs,
    Proposal,
    Reason,
    ReplicaLoad,
)
from poolwright.model.rule import Mode, PoolRule, ServiceRule
from poolwright.model.signal import SignalStatus
from poolwright.triggers import TriggerMemory, View, evaluate

FLEET = frozenset({Reason.FLEET_BUDGET, Reason.FLEET_STOCK})
Loads = Callable[[], Iterable[ReplicaLoad]]
"""What the pool's replicas have to do, those of which it is known."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would be decided, before it is known whether it is news."""

    current: int
    desired: int
    outcome: Outcome
    reason: Reason
    proposals: tuple[Proposal, ...]
    limits: tuple[LimitEffect, ...]
    left_at: int | None = None
    """The count before somebody else changed it, where somebody has."""


def decide_pool(
    service: ServiceRule,
    pool: PoolRule,
    inputs: PoolInputs,
    memory: PoolMemory,
    loads: Loads | None = None,
) -> tuple[PoolMemory, Decision | None]:
    """The decision, or None when this was a check: an evaluation that found nothing new.

    `loads` is asked only where replicas go; without it, `inputs` has what was recorded of them.
    """
    before = memory
    verdict, memory = _judge(service, pool, inputs, memory)
    if not _is_news(verdict, inputs, memory.recorded, service.heartbeat_s):
        return memory, None
    if not any(effect.limit in FLEET for effect in verdict.limits):
        # Of no influence, and so no part of the record: it is decided again without.
        inputs = replace(inputs, fleet=None)
    if verdict.outcome is Outcome.SCALE_DOWN:
        known = inputs.least_loaded if loads is None else loads()
        first = least_loaded(known, memory, verdict.current - verdict.desired)
        inputs = replace(inputs, least_loaded=first)
    decision = _decision(verdict, pool, inputs, encode_memory(before))
    recorded = Recorded(
        inputs.at,
        verdict.outcome,
        verdict.reason,
        verdict.current,
        verdict.desired,
        inputs.rules_revision,
    )
    memory = replace(memory, recorded=recorded)
    if decision.acts:
        # A step on the way back is not yet what is to be kept.
        restoring = verdict.reason is Reason.RESTORED
        ours = verdict.left_at if restoring else verdict.desired
        command = Command(
            verdict.desired,
            inputs.at,
            decision.id,
            memory.last_change_at,
            ours_before=memory.ours,
        )
        memory = fold_count(
            replace(memory, command=command, last_change_at=inputs.at, ours=ours),
            verdict.desired,
            inputs.at,
            _reach_s(service),
        )
    if decision.drain:
        left = Leaving(decision.id, inputs.at, decision.drain)
        memory = replace(memory, leaving=(*memory.leaving, left))
    return memory, decision


def decide_again(service: ServiceRule, decision: Decision) -> Decision | None:
    """The same decision from its recorded inputs and memory; a difference is a defect."""
    pool = next(pool for pool in service.pools if pool.name == decision.pool)
    return decide_pool(service, pool, decision.inputs, decode_memory(decision.memory))[1]


def _reach_s(service: ServiceRule) -> float:
    limits = service.limits
    return max(limits.up.per_s, limits.down.per_s)


def _judge(
    service: ServiceRule, pool: PoolRule, inputs: PoolInputs, memory: PoolMemory
) -> tuple[Verdict, PoolMemory]:
    report = inputs.report
    memory = fold_leaving(memory, inputs.at)
    if report is None:
        count = last_count(memory)
        verdict = Verdict(count, count, Outcome.BLOCKED, Reason.UNKNOWN_POOL, (), ())
        return verdict, memory
    current = current_count(memory, report)
    if memory.counts and memory.counts[-1][1] != current:
        memory = replace(memory, last_change_at=inputs.at)
    memory = fold_count(memory, current, inputs.at, _reach_s(service))
    memory, changed = fold_ours(service, pool, memory, report)
    memory = fold_quiet(memory, inputs)
    case = case_of(service, pool, inputs, memory, current, changed)
    proposals, trigger_memory = _propose(service, pool, inputs, memory, case.basis)
    blind = tuple(sorted({name for proposal in proposals for name in proposal.blind}))
    merged = merge(case, proposals)
    wanted = min(max(merged, pool.min_replicas), pool.max_replicas)
    memory = replace(
        fold_wish(
            memory,
            max(wanted, current) if blind else wanted,
            inputs.at,
            up_s=service.limits.up.stabilise_s,
            down_s=service.limits.down.stabilise_s,
        ),
        triggers=trigger_memory,
    )
    effects: tuple[LimitEffect, ...] = ()
    if wanted != merged:
        detail = f"{pool.min_replicas} to {pool.max_replicas} replicas"
        effects = (LimitEffect(Reason.BOUNDS, merged, wanted, detail),)
    reasons = blind, _advantage(pool, inputs), case.alarmed
    draft = Draft(service, pool, inputs, memory, current, wanted, *reasons)
    told_fleet = claim(draft) if wanted > current else wanted, keeps(draft)
    if told_fleet != (memory.wish, memory.keeps):
        memory = replace(memory, wish=told_fleet[0], keeps=told_fleet[1])
    # To have been idle for so long, or to be needed at zero, is as stable as a wish can be.
    desired, limited = apply_limits(draft, AT_REST if case.resting or case.waking else ORDER)
    effects += limited
    asked = asked_back(draft, desired)
    if asked is not None:
        desired, limited = give_back(draft, asked)
        effects += (asked, *limited)
        wanted = asked.after
    if desired != current:
        outcome = _change_outcome(service, up=desired > current)
        reason = change_reason(case, merged) if asked is None else asked.limit
    elif (held := holding(case, wanted)) is not None:
        outcome, reason = held
    else:
        opinion = any(p.replicas is not None for p in proposals)
        outcome, reason = _hold_reason(
            opinion=opinion, blind=bool(blind), wanted=wanted, desired=desired, effects=effects
        )
    left_at = None if changed is None else changed.left_at
    return Verdict(current, desired, outcome, reason, proposals, effects, left_at), memory


def _advantage(pool: PoolRule, inputs: PoolInputs) -> str:
    """Why an accelerator may not grow; empty when it may."""
    if pool.advantage is None:
        return ""
    found = inputs.advantage
    if found is None:
        return "nothing is known yet of its advantage over the default pools"
    return "" if found.granted else found.why


def _propose(
    service: ServiceRule, pool: PoolRule, inputs: PoolInputs, memory: PoolMemory, current: int
) -> tuple[tuple[Proposal, ...], Mapping[str, TriggerMemory]]:
    signals = {signal.name: signal for signal in inputs.signals}
    values = {
        signal.name: signal.value
        for signal in inputs.signals
        if signal.status is SignalStatus.FRESH and signal.value is not None
    }
    ready = inputs.report.ready if inputs.report is not None else 0
    assessments = {found.trigger: found for found in inputs.assessments}
    view = View(inputs.at, current, ready, signals, values, assessments, inputs.share)
    proposals: list[Proposal] = []
    memories: dict[str, TriggerMemory] = {}
    for trigger in service.triggers_of(pool):
        proposal, memories[trigger.name] = evaluate(
            trigger, view, memory.triggers.get(trigger.name, TriggerMemory())
        )
        proposals.append(proposal)
    return tuple(proposals), memories


def _change_outcome(service: ServiceRule, *, up: bool) -> Outcome:
    if service.mode is Mode.ADVISE:
        return Outcome.ADVISE
    return Outcome.SCALE_UP if up else Outcome.SCALE_DOWN


def _hold_reason(
    *, opinion: bool, blind: bool, wanted: int, desired: int, effects: tuple[LimitEffect, ...]
) -> tuple[Outcome, Reason]:
    if wanted != desired:
        return Outcome.BLOCKED, effects[-1].limit
    if blind and not opinion:
        return Outcome.BLOCKED, Reason.TELEMETRY_UNHEALTHY
    if effects:
        return Outcome.HOLD, Reason.BOUNDS
    return Outcome.HOLD, Reason.STEADY if opinion else Reason.NO_OPINION


def _is_news(
    verdict: Verdict, inputs: PoolInputs, recorded: Recorded | None, heartbeat_s: float
) -> bool:
    if verdict.outcome in (Outcome.SCALE_UP, Outcome.SCALE_DOWN) or recorded is None:
        return True
    seen = (verdict.outcome, verdict.reason, verdict.current, verdict.desired)
    before = (recorded.outcome, recorded.reason, recorded.current, recorded.desired)
    return (
        seen != before
        or recorded.revision != inputs.rules_revision
        or inputs.at - recorded.at >= heartbeat_s
    )


def _decision(verdict: Verdict, pool: PoolRule, inputs: PoolInputs, memory: bytes) -> Decision:
    digest = hashlib.sha256(msgspec.json.encode(inputs, order="sorted"))
    digest.update(memory)
    report = inputs.report
    price = pool.price_usd_per_hour
    evidence: dict[str, str | float | None] = {
        "ready": None if report is None else float(report.ready),
        "starting": None if report is None else float(report.starting),
        "price_usd_per_hour": price,
        "cost_usd_per_hour": None if price is None else price * verdict.desired,
        "other_cost_usd_per_hour": inputs.other_cost_usd_per_hour,
    }
    if verdict.left_at is not None:
        evidence["left_at"] = float(verdict.left_at)
    return Decision(
        id=digest.hexdigest()[:32],
        at=inputs.at,
        service=inputs.service,
        pool=inputs.pool,
        current=verdict.current,
        desired=verdict.desired,
        outcome=verdict.outcome,
        reason=verdict.reason,
        proposals=verdict.proposals,
        limits=verdict.limits,
        evidence=evidence,
        rules_revision=inputs.rules_revision,
        inputs=inputs,
        memory=memory,
    )

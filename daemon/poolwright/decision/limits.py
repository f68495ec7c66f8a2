"""The limits, in the order of the merge: each may move the number towards the current count.

A limit is a function of the stage's `Draft`; it returns a new number with the figures behind it,
or None where it has nothing against the number. No limit ever moves the number away from the
current count, therefore bounds that hold at the start hold at the end.

One thing is no limit but a wish of its own: what the fleet asks back (`asked_back`). It aims below
the current count, and goes through the limits of a reduction like any other.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from poolwright.decision.memory import PoolMemory
from poolwright.model.decision import LimitEffect, PoolInputs, Reason
from poolwright.model.rule import Amount, Mode, PoolRole, PoolRule, ServiceRule


@dataclass(frozen=True, slots=True)
class Draft:
    """A decision on its way through the limits."""

    service: ServiceRule
    pool: PoolRule
    inputs: PoolInputs
    memory: PoolMemory
    current: int
    wanted: int
    blind: tuple[str, ...]
    advantage: str = ""
    """Why an accelerator may not grow; empty when it may."""
    alarmed: int | None = None
    """The count that somebody else has changed, where the pool is left alone then."""


Limit = Callable[[Draft], LimitEffect | None]


def apply_limits(
    draft: Draft, order: Sequence[Limit] | None = None
) -> tuple[int, tuple[LimitEffect, ...]]:
    """The number that the limits leave of `draft.wanted`, and what each of them did."""
    effects: list[LimitEffect] = []
    for limit in ORDER if order is None else order:
        if draft.wanted == draft.current:
            break
        effect = limit(draft)
        if effect is not None and effect.after != draft.wanted:
            effects.append(effect)
            draft = replace(draft, wanted=effect.after)
    return draft.wanted, tuple(effects)


def _hold(draft: Draft, limit: Reason, detail: str) -> LimitEffect:
    return LimitEffect(limit, draft.wanted, draft.current, detail)


def outside(draft: Draft) -> LimitEffect | None:
    """What somebody else set is left alone where the rule says so."""
    if draft.alarmed is None:
        return None
    detail = (
        f"somebody else set {draft.current}, it was left at {draft.alarmed}; set it back, or accept"
        " it with outside_change: adopt"
    )
    return _hold(draft, Reason.CHANGED_OUTSIDE, detail)


def health(draft: Draft) -> LimitEffect | None:
    """Nothing scales down on what is not known (promise 2)."""
    if draft.wanted > draft.current:
        return None
    if draft.blind:
        lacked = ", ".join(draft.blind)
        return _hold(draft, Reason.TELEMETRY_UNHEALTHY, f"no usable value of {lacked}")
    if draft.inputs.health.ingest_behind:
        return _hold(draft, Reason.INGEST_BEHIND, "telemetry is being caught up with")
    if draft.inputs.health.reload_failed:
        return _hold(draft, Reason.RELOAD_FAILED, "the newest rule files are refused")
    return None


def freeze(draft: Draft) -> LimitEffect | None:
    """Freezes of the rule file."""
    direction = "up" if draft.wanted > draft.current else "down"
    for item in draft.service.limits.freezes:
        if item.direction in (direction, "both") and item.schedule.active(draft.inputs.at):
            return _hold(draft, Reason.FROZEN, f"freeze {item.name} ({item.schedule.cron})")
    return None


def pause(draft: Draft) -> LimitEffect | None:
    """A paused service keeps its counts (promise 6)."""
    if draft.service.mode is Mode.PAUSED:
        return _hold(draft, Reason.PAUSED, "the rule file says mode: paused")
    return None


def advantage(draft: Draft) -> LimitEffect | None:
    """An accelerator pool grows only while it shows a clear advantage."""
    if draft.pool.role is PoolRole.DEFAULT or draft.wanted < draft.current or not draft.advantage:
        return None
    allowed = max(draft.current, min(draft.wanted, draft.pool.min_replicas))
    return LimitEffect(Reason.NO_ADVANTAGE, draft.wanted, allowed, draft.advantage)


def stabilise(draft: Draft) -> LimitEffect | None:
    """A direction must have been agreed on for its whole window."""
    at, memory = draft.inputs.at, draft.memory
    if draft.wanted < draft.current:
        window_s = draft.service.limits.down.stabilise_s
        since = at if memory.observed_since is None else memory.observed_since
        if at - since < window_s:
            seen_s = at - since
            return _hold(
                draft,
                Reason.STABILISING,
                f"observed for {seen_s:.0f} s of {window_s:g} s",
            )
        highest = max((n for t, n in memory.highest if t > at - window_s), default=draft.wanted)
        after = min(draft.current, max(draft.wanted, highest))
        return LimitEffect(
            Reason.STABILISING,
            draft.wanted,
            after,
            f"{highest} were wanted within the last {window_s:g} s",
        )
    window_s = draft.service.limits.up.stabilise_s
    lowest = min((n for t, n in memory.lowest if t > at - window_s), default=draft.wanted)
    after = max(draft.current, min(draft.wanted, lowest))
    return LimitEffect(
        Reason.STABILISING,
        draft.wanted,
        after,
        f"only {lowest} were wanted within the last {window_s:g} s",
    )


def cooldown(draft: Draft) -> LimitEffect | None:
    """No change in a direction until so long after the last change of the pool."""
    limits = draft.service.limits
    cooldown_s = (limits.up if draft.wanted > draft.current else limits.down).cooldown_s
    changed_at = draft.memory.last_change_at
    if changed_at is None or draft.inputs.at - changed_at >= cooldown_s:
        return None
    left_s = cooldown_s - (draft.inputs.at - changed_at)
    return _hold(draft, Reason.COOLDOWN, f"{left_s:.0f} s of {cooldown_s:g} s left")


def step(draft: Draft) -> LimitEffect | None:
    """At most one step above the lowest (below the highest) count within any window."""
    up = draft.wanted > draft.current
    rule = draft.service.limits.up if up else draft.service.limits.down
    counts = counts_within(draft.memory.counts, draft.inputs.at - rule.per_s)
    if up:
        furthest = min(n + rule.step.of(n) for n in (*counts, draft.current))
        after = max(draft.current, min(draft.wanted, furthest))
    else:
        furthest = max(n - rule.step.of(n) for n in (*counts, draft.current))
        after = min(draft.current, max(draft.wanted, furthest))
    detail = f"at most {describe_amount(rule.step)} per {rule.per_s:g} s, to {furthest}"
    return LimitEffect(Reason.STEP, draft.wanted, after, detail)


def counts_within(counts: Iterable[tuple[float, int]], since: float) -> list[int]:
    """Counts that held at some instant after `since`: the last one before it held there too."""
    within: list[int] = []
    for at, count in counts:
        if at <= since:
            within = [count]
        else:
            within.append(count)
    return within


def describe_amount(amount: Amount) -> str:
    """As rule files write it."""
    if not amount.fraction:
        return str(amount.replicas)
    share = f"{amount.fraction:.0%}"
    return f"max({amount.replicas}, {share})" if amount.replicas else share


def budget(draft: Draft) -> LimitEffect | None:
    """No more than the budget pays for, the service's other pools counted; never a reduction."""
    limit = draft.service.limits.budget_usd_per_hour
    price = draft.pool.price_usd_per_hour
    if draft.wanted < draft.current or limit is None or not price:
        return None
    affordable = int((limit - draft.inputs.other_cost_usd_per_hour + 1e-9) // price)
    after = max(draft.current, min(draft.wanted, affordable))
    other = draft.inputs.other_cost_usd_per_hour
    detail = f"{limit:g} USD/h, other pools {other:g} USD/h, {price:g} USD/h a replica"
    return LimitEffect(Reason.BUDGET, draft.wanted, after, detail)


def stock(draft: Draft) -> LimitEffect | None:
    """After the provider had no capacity, growth waits for the back-off."""
    until = draft.memory.stock_until
    if draft.wanted < draft.current or until is None or draft.inputs.at >= until:
        return None
    left_s = until - draft.inputs.at
    return _hold(draft, Reason.STOCK, f"the provider had no capacity; again in {left_s:.0f} s")


def fleet(draft: Draft) -> LimitEffect | None:
    """No more than the fleet has room for; what is there already is another matter (below)."""
    room = draft.inputs.fleet
    if draft.wanted < draft.current or room is None:
        return None
    after = max(draft.current, min(draft.wanted, room.most))
    return LimitEffect(room.limit, draft.wanted, after, room.detail)


def asked_back(draft: Draft, desired: int) -> LimitEffect | None:
    """What the fleet wants of `desired`, which the pool's own limits left; its minimum never."""
    room = draft.inputs.fleet
    if room is None:
        return None
    most = max(room.most, draft.pool.min_replicas)
    if most >= desired:
        return None
    return LimitEffect(room.limit, desired, most, room.detail)


def give_back(draft: Draft, asked: LimitEffect) -> tuple[int, tuple[LimitEffect, ...]]:
    """The count on the way down to what is asked, and why it is no lower yet.

    The pool's own wish has no say, therefore no stabilisation of it; but health, freezes and the
    pace hold: what is asked back of a pool whose load is not known is not given.
    """
    return apply_limits(replace(draft, wanted=asked.after), GIVING_BACK)


def claim(draft: Draft) -> int:
    """The wish that the pool has of the fleet: what it would use if it only had the room.

    Pace (cooldown, step) does not lessen it: room that is being made is not taken by others in
    between. What the pool cannot use anyway (for a freeze, its own budget, a provider without
    capacity) it does not claim: nobody gives back for nothing.
    """
    return apply_limits(draft, CLAIMING)[0]


def keeps(draft: Draft) -> bool:
    """Whether the pool may not shrink now, whoever asks."""
    # To these limits the count that is there is as good as any lower one.
    down = draft if draft.wanted <= draft.current else replace(draft, wanted=draft.current)
    return any(limit(down) is not None for limit in KEEPING)


def provider(draft: Draft) -> LimitEffect | None:
    """After a refused or abandoned action the next one waits for the back-off."""
    until = draft.memory.failing_until
    if until is None or draft.inputs.at >= until:
        return None
    left_s = until - draft.inputs.at
    return _hold(
        draft,
        Reason.PROVIDER_FAILING,
        f"{draft.memory.failures} actions in a row failed; again in {left_s:.0f} s",
    )


ORDER: tuple[Limit, ...] = (
    outside,
    health,
    freeze,
    pause,
    advantage,
    stabilise,
    cooldown,
    step,
    budget,
    stock,
    fleet,
    provider,
)
AT_REST: tuple[Limit, ...] = tuple(limit for limit in ORDER if limit is not stabilise)
KEEPING: tuple[Limit, ...] = (outside, health, freeze, pause)
GIVING_BACK: tuple[Limit, ...] = (*KEEPING, cooldown, step, provider)
CLAIMING: tuple[Limit, ...] = (
    outside,
    freeze,
    pause,
    advantage,
    stabilise,
    budget,
    stock,
    provider,
)

"""Whether an accelerator shows a clear advantage over the default pools, held for long enough.

- performance, by SLO: no default pool meets the SLO of a class that the accelerator meets. It may
  grow whatever it costs;
- economic: taking load over from the default pools avoids more of their cost than the accelerator
  costs, whole replicas and leases included, by a margin, at a utilisation above a floor;
- performance, by p95: requests of a class were quicker in the accelerator by a margin. Being
  quicker is no reason to pay: it waives the margin of cost, not more. The accelerator may cost no
  more than it avoids, unless it serves what the default pools cannot, and its utilisation must be
  above the floor.

Each of them only lets the plan use the accelerator: the plan, the cheapest one that meets the SLOs,
decides how many.

Once granted, the advantage lasts until it has been gone for as long as it had to be held: the
margin of cost need then only not be negative, and four fifths of the other thresholds do, so that
the mix does not flip around one of them.
"""

from dataclasses import dataclass
from typing import Final

from poolwright.capacity.comparing import better
from poolwright.model.assessment import Advantage, Alternative, Basis, Comparison
from poolwright.model.rule import AdvantageRule

KEEPS: Final = 0.8
"""Share of the floor of utilisation, and of the margin of p95, that keeps what is granted."""
UNSERVED: Final = 0.01
"""A share of a class that is more than rounding."""


@dataclass(frozen=True, slots=True)
class Case:
    """What speaks for one accelerator pool at one instant."""

    pool: str
    unreachable: tuple[str, ...]
    """Classes whose SLO it meets and no default pool does."""
    without: Alternative
    with_it: Alternative
    own_usd_per_hour: float
    """Of the accelerator's replicas in the second alternative."""
    utilisation: float | None
    basis: Basis
    default_basis: Basis
    comparisons: tuple[Comparison, ...] = ()
    """By class."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a case comes to."""

    kind: str
    """As in `Advantage`: empty where nothing speaks for it."""
    why: str
    margin: float | None = None


@dataclass(slots=True)
class Holding:
    """Since when the advantage is as it is. Times in epoch seconds."""

    granted: bool = False
    since: float | None = None
    """Since when the case has spoken against `granted` without a break; None while it agrees."""
    changed_at: float | None = None


def judge(case: Case, rule: AdvantageRule, holding: Holding, at: float) -> Advantage:
    """The verdict; moves `holding` on."""
    ground = _strongest(case, rule, granted=holding.granted)
    present, why = bool(ground.kind), f"{ground.why} ({_source(case)})"
    if present == holding.granted:
        holding.since = None
    elif holding.since is None:
        holding.since = at
    if holding.since is not None and at - holding.since >= rule.held_for_s:
        holding.granted, holding.since, holding.changed_at = present, None, at
    held_s = at - (holding.since if holding.since is not None else holding.changed_at or at)
    if present and not holding.granted:
        why += f"; held for {held_s:.0f} s of {rule.held_for_s:.0f} s"
    elif not present and holding.granted:
        why += f"; lost for {held_s:.0f} s of {rule.held_for_s:.0f} s"
    return Advantage(
        pool=case.pool,
        granted=holding.granted,
        kind=ground.kind,
        why=why,
        margin=ground.margin,
        required=rule.economic,
        utilisation=case.utilisation,
        required_utilisation=rule.min_utilisation,
        held_s=held_s,
        required_s=rule.held_for_s,
        basis=case.basis,
        default_basis=case.default_basis,
        alternatives=(case.without, case.with_it),
        comparisons=case.comparisons,
        required_p95_margin=rule.performance,
    )


def _strongest(case: Case, rule: AdvantageRule, *, granted: bool) -> Ground:
    """What permits most comes first; where nothing holds, what the cost says against it."""
    if case.unreachable and rule.performance is not None:
        classes = ", ".join(case.unreachable)
        return Ground("performance", f"the default pools cannot meet the SLO of {classes}")
    by_cost = _economic(case, rule, granted=granted)
    if by_cost.kind:
        return by_cost
    return _quicker(case, rule, by_cost.margin, granted=granted) or by_cost


def _economic(case: Case, rule: AdvantageRule, *, granted: bool) -> Ground:
    avoided = case.without.usd_per_hour - (case.with_it.usd_per_hour - case.own_usd_per_hour)
    if avoided <= 0.0 or case.own_usd_per_hour <= 0.0:
        return Ground("", "it would take no replica of the default pools over")
    margin = 1.0 - case.own_usd_per_hour / avoided
    figures = (
        f"it would cost {case.own_usd_per_hour:.2f} USD/h and avoid {avoided:.2f} USD/h, "
        f"a margin of {margin:.0%}"
    )
    if rule.economic is None:
        return Ground("", f"{figures}, but the rules name no economic margin", margin)
    required = 0.0 if granted else rule.economic
    if margin < required:
        return Ground("", f"{figures}, below {required:.0%}", margin)
    if not _used(case, rule, granted=granted):
        used = "unknown" if case.utilisation is None else f"{case.utilisation:.0%}"
        floor = _floor(rule, granted=granted)
        return Ground("", f"{figures}, but its utilisation of {used} is below {floor:.0%}", margin)
    return Ground("economic", f"{figures} at {case.utilisation:.0%} utilisation", margin)


def _quicker(
    case: Case, rule: AdvantageRule, margin: float | None, *, granted: bool
) -> Ground | None:
    """An advantage by measured p95, where that and the cost permit one."""
    if rule.performance is None:
        return None
    quicker = better(case.comparisons, rule.performance * (KEEPS if granted else 1.0))
    relief = case.without.unserved - case.with_it.unserved > UNSERVED
    affordable = relief or (margin is not None and margin >= 0.0)
    if not quicker or not affordable or not _used(case, rule, granted=granted):
        return None
    told = ", ".join(
        f"{one.time} of {one.request_class} {one.p95_s:.4g} s against {one.default_p95_s:.4g} s"
        f" of {one.default_pool}, {one.margin:.0%} less"
        for one in quicker
    )
    cost = (
        "it serves what the default pools cannot" if relief else "it costs no more than it avoids"
    )
    return Ground("performance", f"its measured p95 is better ({told}), and {cost}", margin)


def _used(case: Case, rule: AdvantageRule, *, granted: bool) -> bool:
    return case.utilisation is not None and case.utilisation >= _floor(rule, granted=granted)


def _floor(rule: AdvantageRule, *, granted: bool) -> float:
    return rule.min_utilisation * (KEEPS if granted else 1.0)


def _source(case: Case) -> str:
    return f"{case.pool} {case.basis}, default pools {case.default_basis}"

"""Whether an accelerator shows a clear advantage over the default pools, held for long enough.

- performance: no default pool meets the SLO of a class that the accelerator meets;
- economic: taking load over from the default pools avoids more of their cost than the accelerator
  costs, whole replicas and leases included, by a margin, at a utilisation above a floor.

Once granted, the advantage lasts until it has been gone for as long as it had to be held: the
margin need then only not be negative, so that the mix does not flip around the threshold.
"""

from dataclasses import dataclass

from poolwright.model.assessment import Advantage, Alternative, Basis
from poolwright.model.rule import AdvantageRule


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


@dataclass(slots=True)
class Holding:
    """Since when the advantage is as it is. Times in epoch seconds."""

    granted: bool = False
    since: float | None = None
    """Since when the case has spoken against `granted` without a break; None while it agrees."""
    changed_at: float | None = None


def judge(case: Case, rule: AdvantageRule, holding: Holding, at: float) -> Advantage:
    """The verdict; moves `holding` on."""
    kind, margin, why = _strongest(case, rule, granted=holding.granted)
    present = bool(kind)
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
        kind=kind,
        why=why,
        margin=margin,
        required=rule.economic,
        utilisation=case.utilisation,
        required_utilisation=rule.min_utilisation,
        held_s=held_s,
        required_s=rule.held_for_s,
        basis=case.basis,
        default_basis=case.default_basis,
        alternatives=(case.without, case.with_it),
    )


def _strongest(case: Case, rule: AdvantageRule, *, granted: bool) -> tuple[str, float | None, str]:
    source = f"{case.pool} {case.basis}, default pools {case.default_basis}"
    if case.unreachable and rule.performance is not None:
        classes = ", ".join(case.unreachable)
        return "performance", None, f"the default pools cannot meet the SLO of {classes} ({source})"
    avoided = case.without.usd_per_hour - (case.with_it.usd_per_hour - case.own_usd_per_hour)
    if avoided <= 0.0 or case.own_usd_per_hour <= 0.0:
        return "", None, f"it would take no replica of the default pools over ({source})"
    margin = 1.0 - case.own_usd_per_hour / avoided
    figures = (
        f"it would cost {case.own_usd_per_hour:.2f} USD/h and avoid {avoided:.2f} USD/h, "
        f"a margin of {margin:.0%}"
    )
    if rule.economic is None:
        return "", margin, f"{figures}, but the rules name no economic margin ({source})"
    required = 0.0 if granted else rule.economic
    if margin < required:
        return "", margin, f"{figures}, below {required:.0%} ({source})"
    floor = rule.min_utilisation * (0.8 if granted else 1.0)
    if case.utilisation is None or case.utilisation < floor:
        used = "unknown" if case.utilisation is None else f"{case.utilisation:.0%}"
        return (
            "",
            margin,
            f"{figures}, but its utilisation of {used} is below {floor:.0%} ({source})",
        )
    return "economic", margin, f"{figures} at {case.utilisation:.0%} utilisation ({source})"

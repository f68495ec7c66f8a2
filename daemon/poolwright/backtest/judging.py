"""Whether new rules may replace old ones: what a CI job asks."""

from collections.abc import Sequence
from dataclasses import dataclass

from poolwright.backtest.figures import Run
from poolwright.model.rule import ClassRule


@dataclass(frozen=True, slots=True)
class Bounds:
    """Shares are fractions; all compare sums over the traces with those of the old rules."""

    max_cost_increase: float = 0.05
    max_more_slo_minutes: int = 0
    max_more_actions: float = 0.5
    min_attainment: float | None = None
    """Of every class on every trace. None: goals that the old rules kept must be kept."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Old and new figures, summed over the traces."""

    cost_usd: tuple[float, float]
    slo_minutes: tuple[int, int]
    actions: tuple[int, int]

    @property
    def cost_increase(self) -> float:
        """As a fraction of the old cost."""
        old, new = self.cost_usd
        return (new - old) / old if old else 0.0


def difference(old: Sequence[Run], new: Sequence[Run]) -> Difference:
    return Difference(
        (sum(run.cost_usd for run in old), sum(run.cost_usd for run in new)),
        (sum(run.slo_minutes for run in old), sum(run.slo_minutes for run in new)),
        (sum(run.actions for run in old), sum(run.actions for run in new)),
    )


def failures(
    old: Sequence[Run],
    new: Sequence[Run],
    classes: Sequence[ClassRule],
    bounds: Bounds,
    traces: Sequence[str],
) -> list[str]:
    """What is past its bound, in words; `old` is empty where there is no baseline."""
    found = [] if bounds.min_attainment is None else _below(new, bounds.min_attainment, traces)
    if not old:
        return found
    if bounds.min_attainment is None:
        found += _lost(old, new, classes, traces)
    change = difference(old, new)
    if change.cost_increase > bounds.max_cost_increase:
        found.append(
            f"cost rises by {change.cost_increase:.1%}, {change.cost_usd[0]:,.2f} to "
            f"{change.cost_usd[1]:,.2f} USD; at most {bounds.max_cost_increase:.1%} is allowed"
        )
    before, after = change.slo_minutes
    if after - before > bounds.max_more_slo_minutes:
        found.append(
            f"{after - before} more minutes are below a goal, {before} to {after}; "
            f"at most {bounds.max_more_slo_minutes} more are allowed"
        )
    before, after = change.actions
    if after - before > bounds.max_more_actions * before:
        found.append(
            f"scale actions rise from {before} to {after}; "
            f"at most {bounds.max_more_actions:.0%} more are allowed"
        )
    return found


def _below(new: Sequence[Run], floor: float, traces: Sequence[str]) -> list[str]:
    return [
        f"{traces[run.trace]}: {name} attains {attained:.2%}, below {floor:.2%}"
        for run in new
        for name, attained in run.attainment.items()
        if attained < floor
    ]


def _lost(
    old: Sequence[Run], new: Sequence[Run], classes: Sequence[ClassRule], traces: Sequence[str]
) -> list[str]:
    """Goals that the old rules kept and the new ones do not."""
    found = []
    for before, after in zip(old, new, strict=True):
        for rule in classes:
            was, now = before.attainment.get(rule.name), after.attainment.get(rule.name)
            if was is None or now is None:
                continue
            if was >= rule.attainment > now:
                found.append(
                    f"{traces[after.trace]}: {rule.name} attained {was:.2%}, now {now:.2%}, "
                    f"below its goal of {rule.attainment:.2%}"
                )
    return found

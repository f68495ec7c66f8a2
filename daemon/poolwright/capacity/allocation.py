"""Least cost an hour over a service's pools: a small mixed-integer program, solved by HiGHS.

Counts are whole; how a class's demand is split is not. A pool's need for all of a class's demand
scales with the share that it is given, which is exact for a mean and slightly too little for a
peak; the forecasts of the shares, made afterwards, see the difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SHORTAGE: Final = 1e4
"""Cost of leaving a class unserved, in the dearest replica's price: only when nothing else."""
SWITCH: Final = 0.02
"""Cost of changing a count by one, as a share of the replica's price: ties keep what is there."""


@dataclass(frozen=True, slots=True)
class Option:
    """A pool that may be given load. Prices in USD an hour of one replica."""

    pool: str
    price_usd_per_hour: float
    current: int
    least: int
    most: int
    """The pool's bounds, further lowered to what is to be had (stock)."""
    needs: Mapping[str, float]
    """Replicas that all of a class's demand would need here; classes that it may not take lack."""
    committed: int = 0
    """Replicas whose lease is paid for anyway."""


@dataclass(frozen=True, slots=True)
class Mix:
    """What was found: counts, and the share of each class's demand that each pool takes."""

    counts: Mapping[str, int]
    shares: Mapping[str, Mapping[str, float]]
    """Pool → class → share."""
    usd_per_hour: float
    """Of the counts at full price, committed or not."""
    unserved: Mapping[str, float]
    """Share of each class that no pool can take, within bounds, stock and budget."""


def allocate(options: Sequence[Option], budget_usd_per_hour: float | None = None) -> Mix:
    """The cheapest mix that serves every class; of equal ones the nearest to what is there."""
    classes = sorted({name for option in options for name in option.needs})
    if len(options) == 1:
        return _only(options[0], classes, budget_usd_per_hour)
    return _solve(options, classes, budget_usd_per_hour)


def _only(option: Option, classes: Sequence[str], budget_usd_per_hour: float | None) -> Mix:
    need = sum(option.needs.values())
    most = option.most
    if budget_usd_per_hour is not None and option.price_usd_per_hour > 0:
        most = min(most, int(budget_usd_per_hour / option.price_usd_per_hour + 1e-9))
    count = max(option.least, min(most, -int(-(need - 1e-6) // 1)))
    served = min(1.0, count / need) if need > 0 else 1.0
    return Mix(
        {option.pool: count},
        {option.pool: dict.fromkeys(classes, served)},
        count * option.price_usd_per_hour,
        dict.fromkeys(classes, 1.0 - served),
    )


def _solve(
    options: Sequence[Option], classes: Sequence[str], budget_usd_per_hour: float | None
) -> Mix:
    # Late: a service with one pool needs no solver, and most have one.
    import highspy  # noqa: PLC0415

    dearest = max((option.price_usd_per_hour for option in options), default=1.0) or 1.0
    model = highspy.Highs()  # type: ignore[no-untyped-call]
    model.silent()
    model.setOptionValue("threads", 1)
    model.setOptionValue("mip_rel_gap", 1e-6)
    counts, moved, shares = {}, {}, {}
    for o in options:
        counts[o.pool] = model.addIntegral(lb=o.least, ub=max(o.least, o.most))
        moved[o.pool] = model.addVariable(lb=0)
        model.addConstr(moved[o.pool] >= counts[o.pool] - o.current)
        model.addConstr(moved[o.pool] >= o.current - counts[o.pool])
        for name, need in o.needs.items():
            if need < float("inf"):
                shares[o.pool, name] = model.addVariable(lb=0, ub=1)
        used = sum(o.needs[name] * x for (pool, name), x in shares.items() if pool == o.pool)
        model.addConstr(counts[o.pool] - used >= 0)
    unserved = {name: model.addVariable(lb=0, ub=1) for name in classes}
    for name in classes:
        taken = sum(x for (_, other), x in shares.items() if other == name)
        model.addConstr(taken + unserved[name] == 1)
    if budget_usd_per_hour is not None:
        spent = sum(o.price_usd_per_hour * counts[o.pool] for o in options)
        most = max(budget_usd_per_hour, sum(o.price_usd_per_hour * o.least for o in options))
        model.addConstr(spent <= most)
    cost = sum(SHORTAGE * dearest * short for short in unserved.values())
    for o in options:
        # What is committed costs nothing more, what is ordered beyond it does.
        beyond = model.addVariable(lb=0)
        model.addConstr(beyond >= counts[o.pool] - o.committed)
        cost += o.price_usd_per_hour * (beyond + SWITCH * moved[o.pool]) + 1e-6 * counts[o.pool]
    model.minimize(cost)
    found = {o.pool: round(float(model.val(counts[o.pool]))) for o in options}
    split: dict[str, dict[str, float]] = {o.pool: {} for o in options}
    for (pool, name), x in shares.items():
        split[pool][name] = min(max(float(model.val(x)), 0.0), 1.0)
    return Mix(
        found,
        split,
        sum(o.price_usd_per_hour * found[o.pool] for o in options),
        {name: max(0.0, float(model.val(short))) for name, short in unserved.items()},
    )

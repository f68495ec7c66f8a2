"""Which pool of a service carries which share of its classes, and whether an accelerator may grow.

A service with one pool needs no plan: it carries everything. With several, each block asks what
all of a class's demand would need in each pool, finds the cheapest mix with and without each
accelerator, and lets an accelerator in only while it shows an advantage. The default pools give up
load only to replicas that are ready, and an accelerator is released only when the default pools are
ready to take its load: nobody waits for a start-up that the plan itself has caused.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from poolwright.capacity.advantage import Case, Holding, judge
from poolwright.capacity.allocation import Mix, Option, allocate
from poolwright.capacity.assessing import assess
from poolwright.capacity.comparing import NOTHING, compare
from poolwright.capacity.past import Past
from poolwright.capacity.pool_learner import PoolLearner
from poolwright.capacity.question import question_of
from poolwright.model.assessment import (
    Advantage,
    Alternative,
    Assessment,
    Basis,
    Comparison,
    Share,
)
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRole, PoolRule, ServiceRule, SloTrigger

UNPRICED_USD_PER_HOUR: Final = 1.0
"""Where no price is declared, a replica costs as much as any other such replica."""


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What the plan says of one pool."""

    share: Share
    advantage: Advantage | None = None


Plan = dict[str, PoolPlan]
Needs = dict[str, dict[str, Assessment]]
"""Pool → class → what all of the class's demand needs there."""


class _Solver:
    """The cheapest mixes of one plan; an accelerator that may not grow is left out twice."""

    def __init__(self, budget_usd_per_hour: float | None) -> None:
        self._budget_usd_per_hour = budget_usd_per_hour
        self._solved: list[tuple[list[Option], Mix]] = []

    def __call__(self, options: list[Option]) -> Mix:
        for known, mix in self._solved:
            if known == options:
                return mix
        mix = allocate(options, self._budget_usd_per_hour)
        self._solved.append((options, mix))
        return mix


class Planner:
    """Remembers how long each accelerator's advantage has been held."""

    def __init__(self) -> None:
        self.holdings: dict[str, Holding] = {}

    def plan(
        self,
        service: ServiceRule,
        past: Past,
        pools: Mapping[str, PoolLearner],
        classes: Mapping[int, str],
        reports: Mapping[str, PoolReport],
        most: Mapping[str, int],
        at: float,
    ) -> Plan:
        """The shares of every pool. `classes` are those with demand, by number."""
        asked = [trigger for trigger in service.triggers if isinstance(trigger, SloTrigger)]
        served = {
            pool.name: [n for n in classes.values() if not pool.serves or n in pool.serves]
            for pool in service.pools
        }
        if len(service.pools) == 1 or not asked:
            return {
                pool.name: PoolPlan(Share(dict.fromkeys(served[pool.name], 1.0), None))
                for pool in service.pools
            }
        found = _needs(service, past, pools, classes, served, at)
        options = {
            pool.name: _option(pool, pools[pool.name], found[pool.name], reports, most, at)
            for pool in service.pools
        }
        solve = _Solver(service.limits.budget_usd_per_hour)
        advantages = {
            pool.name: self._advantage(
                service, pool, options, found, past, classes, pools, solve, at
            )
            for pool in service.pools
            if pool.role is PoolRole.ACCELERATOR and pool.advantage is not None
        }
        chosen = [
            option if pool.name not in advantages or advantages[pool.name].granted
            else replace(option, most=max(option.least, min(option.committed, option.current)))
            for pool, option in ((p, options[p.name]) for p in service.pools)
        ]  # fmt: skip
        mix = solve(_reachable(chosen, found))
        return _shares(service, mix, found, reports, advantages)

    def _advantage(
        self,
        service: ServiceRule,
        pool: PoolRule,
        options: Mapping[str, Option],
        found: Needs,
        past: Past,
        classes: Mapping[int, str],
        pools: Mapping[str, PoolLearner],
        solve: _Solver,
        at: float,
    ) -> Advantage:
        others = [
            option
            for other in service.pools
            if (option := options[other.name]).pool != pool.name
            and (other.role is PoolRole.DEFAULT or self._granted(other.name))
        ]
        own = options[pool.name]
        tokens = _tokens_per_hour(past, classes)
        out = replace(own, least=0, most=0, committed=0)
        without = solve(_reachable([*others, out], found))
        ready = solve(_reachable([*others, replace(own, committed=0)], found))
        count = ready.counts[pool.name]
        if count == 0 and own.most > 0:
            # The cheapest mix has none: what the first one would do is the evidence.
            one = replace(own, least=1, committed=0)
            ready = solve(_reachable([*others, one], found))
            count = ready.counts[pool.name]
        taken = sum(
            share * _wanted(found[pool.name][name])
            for name, share in ready.shares[pool.name].items()
            if name in found[pool.name]
        )
        mine = found[pool.name]
        defaults = [o.pool for o in others if _role(service, o.pool) is PoolRole.DEFAULT]
        unreachable = tuple(
            name
            for name, assessment in mine.items()
            if assessment.capacity.meets
            and any(name in found[other] for other in defaults)
            and not any(
                name in found[other] and found[other][name].capacity.meets for other in defaults
            )
        )
        rule = pool.advantage
        assert rule is not None  # noqa: S101  asked for only where there is one
        compared = () if rule.performance is None else _compared(service, pool, found, pools, at)
        case = Case(
            pool=pool.name,
            unreachable=unreachable,
            without=_alternative("default pools", without, tokens),
            with_it=_alternative(f"with {pool.name}", ready, tokens),
            own_usd_per_hour=count * own.price_usd_per_hour,
            utilisation=min(1.0, taken / count) if count else None,
            basis=_basis(mine),
            default_basis=_basis(found[defaults[0]]) if defaults else Basis.PRIOR,
            comparisons=compared,
        )
        return judge(case, rule, self.holdings.setdefault(pool.name, Holding()), at)

    def _granted(self, pool: str) -> bool:
        holding = self.holdings.get(pool)
        return holding is not None and holding.granted


def _needs(
    service: ServiceRule,
    past: Past,
    pools: Mapping[str, PoolLearner],
    classes: Mapping[int, str],
    served: Mapping[str, list[str]],
    at: float,
) -> Needs:
    triggers = {t.request_class: t for t in service.triggers if isinstance(t, SloTrigger)}
    first = next(iter(triggers.values()))
    return {
        pool.name: {
            name: assess(
                past,
                pools[pool.name],
                pool,
                question_of(service, triggers.get(name, first)),
                {number: 1.0},
                at,
                binding=False,
            )
            for number, name in classes.items()
            if name in served[pool.name]
        }
        for pool in service.pools
    }


def _compared(
    service: ServiceRule,
    pool: PoolRule,
    found: Needs,
    pools: Mapping[str, PoolLearner],
    at: float,
) -> tuple[Comparison, ...]:
    """How long requests took in it and in the default pools, of the classes that both serve."""
    mine = pools[pool.name].ended
    compared: list[Comparison] = []
    for rule in service.classes:
        name = rule.name
        defaults = {
            other.name: pools[other.name].ended.get(name, NOTHING)
            for other in service.pools
            if other.role is PoolRole.DEFAULT and name in found[other.name]
        }
        # What never ran there is judged by no p95.
        if defaults and name in mine and name in found[pool.name]:
            compared += compare(rule, mine[name], defaults, at)
    return tuple(compared)


def _wanted(assessment: Assessment) -> float:
    """Replicas for all of the demand, one start-up time ahead where that is known."""
    if assessment.upper is not None:
        return assessment.upper
    return max(assessment.level, assessment.need)


def _option(
    pool: PoolRule,
    learner: PoolLearner,
    found: Mapping[str, Assessment],
    reports: Mapping[str, PoolReport],
    most: Mapping[str, int],
    at: float,
) -> Option:
    report = reports.get(pool.name)
    there = 0 if report is None else report.ready + report.starting
    late = learner.startups.overdue(at, pool.startup_s)
    limit = min(most[pool.name], max(there - late, 0)) if late else most[pool.name]
    price = pool.price_usd_per_hour
    return Option(
        pool=pool.name,
        price_usd_per_hour=UNPRICED_USD_PER_HOUR if price is None else price,
        current=there,
        least=pool.min_replicas,
        most=max(limit, pool.min_replicas),
        needs={name: _wanted(assessment) for name, assessment in found.items()},
        committed=min(there, learner.startups.leased(at, pool.lease_s)),
    )


def _reachable(options: list[Option], found: Needs) -> list[Option]:
    """Classes go to pools that meet their SLO; where none does, to any that serves them."""
    meeting = {
        name
        for option in options
        if option.most > 0
        for name, assessment in found[option.pool].items()
        if assessment.capacity.meets
    }
    return [
        replace(
            option,
            needs={
                name: need
                for name, need in option.needs.items()
                if name not in meeting or found[option.pool][name].capacity.meets
            },
        )
        for option in options
    ]


def _shares(
    service: ServiceRule,
    mix: Mix,
    found: Needs,
    reports: Mapping[str, PoolReport],
    advantages: Mapping[str, Advantage],
) -> Plan:
    roles = {pool.name: pool.role for pool in service.pools}
    ready = {name: report.ready for name, report in reports.items()}
    left = {name: 1.0 for assessments in found.values() for name in assessments}
    plan: Plan = {}
    for pool, shares in mix.shares.items():
        if roles[pool] is PoolRole.DEFAULT:
            continue
        wanted = sum(share * _wanted(found[pool][name]) for name, share in shares.items())
        # What it is ready for, not what it was told: the default pools carry the rest meanwhile.
        there = min(1.0, min(ready.get(pool, 0), mix.counts[pool]) / wanted) if wanted > 0 else 0.0
        for name, share in shares.items():
            left[name] = max(0.0, left[name] - share * there)
        plan[pool] = PoolPlan(
            Share(dict(shares), mix.counts[pool], _detail(mix)), advantages.get(pool)
        )
    for pool, shares in mix.shares.items():
        if roles[pool] is not PoolRole.DEFAULT:
            continue
        mine = {}
        for name in found[pool]:
            among = sum(
                other.get(name, 0.0)
                for other_pool, other in mix.shares.items()
                if roles[other_pool] is PoolRole.DEFAULT
            )
            if among > 0.0:
                mine[name] = left[name] * shares.get(name, 0.0) / among
            elif pool == _first_default(service, found, name):
                mine[name] = left[name]
        plan[pool] = PoolPlan(Share(mine, None, _detail(mix)))
    return _hold_until_taken_over(plan, found, ready, roles, reports)


def _hold_until_taken_over(
    plan: Plan,
    found: Needs,
    ready: Mapping[str, int],
    roles: Mapping[str, PoolRole],
    reports: Mapping[str, PoolReport],
) -> Plan:
    """Accelerators are released once the default pools are ready for what they will carry."""
    taken_over = all(
        ready.get(pool, 0) + 1e-6 >= math.floor(
            sum(share * found[pool][name].level for name, share in item.share.classes.items())
        )
        for pool, item in plan.items()
        if roles[pool] is PoolRole.DEFAULT
    )  # fmt: skip
    if taken_over:
        return plan
    held: Plan = {}
    for pool, item in plan.items():
        report = reports.get(pool)
        count = item.share.count
        if count is not None and report is not None and report.ready > count:
            detail = f"{item.share.detail}; kept until the default pools are ready"
            item = replace(item, share=replace(item.share, count=report.ready, detail=detail))  # noqa: PLW2901
        held[pool] = item
    return held


def _first_default(service: ServiceRule, found: Needs, name: str) -> str | None:
    pools = [p.name for p in service.pools if p.role is PoolRole.DEFAULT and name in found[p.name]]
    return pools[0] if pools else None


def _role(service: ServiceRule, name: str) -> PoolRole:
    return next(pool.role for pool in service.pools if pool.name == name)


def _basis(found: Mapping[str, Assessment]) -> Basis:
    return next((assessment.capacity.basis for assessment in found.values()), Basis.PRIOR)


def _tokens_per_hour(past: Past, classes: Mapping[int, str]) -> float:
    """Over the last ten minutes."""
    stream = past.stream(dict.fromkeys(classes, 1.0))
    inputs, outputs = stream.input_tokens[-600:], stream.output_tokens[-600:]
    return float(inputs.sum() + outputs.sum()) / max(len(inputs), 1) * 3600.0


def _alternative(name: str, mix: Mix, tokens_per_hour: float) -> Alternative:
    per_million = mix.usd_per_hour / tokens_per_hour * 1e6 if tokens_per_hour > 0 else None
    return Alternative(
        name,
        {pool: count for pool, count in mix.counts.items() if count},
        mix.usd_per_hour,
        per_million,
        max(mix.unserved.values(), default=0.0),
    )


def _detail(mix: Mix) -> str:
    counts = ", ".join(f"{count} {pool}" for pool, count in mix.counts.items() if count)
    short = [f"{name} by {share:.0%}" for name, share in mix.unserved.items() if share > 0.01]
    missing = f"; short of {', '.join(short)}" if short else ""
    return f"cheapest mix {counts or 'of none'} at {mix.usd_per_hour:.2f} USD/h{missing}"

"""A finished backtest: what the table, the JSON and the page are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from poolwright.backtest.contenders import BASELINE, CLAIRVOYANT, OURS, TITLES
from poolwright.backtest.figures import Run
from poolwright.backtest.judging import Difference, difference
from poolwright.backtest.sweeping import Sweep
from poolwright.backtest.world import Plan
from poolwright.model.rule import ClassRule, ServiceRule


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    plan: Plan
    revision: str
    service: ServiceRule
    contenders: tuple[str, ...]
    sweeps: dict[tuple[int, str], Sweep]
    failures: tuple[str, ...] = ()
    """Past which bounds the rules are; empty where all is well."""

    def runs(self, contender: str) -> list[Run]:
        """The best one of each trace; empty where it did not take part."""
        if contender not in self.contenders:
            return []
        return [self.sweeps[trace, contender].best for trace in range(len(self.plan.traces))]

    def ranked(self, trace: int) -> list[Sweep]:
        """Those that keep the SLOs first, the cheapest of them at the top."""
        found = [self.sweeps[trace, contender] for contender in self.contenders]
        classes = self.service.classes
        return sorted(
            found,
            key=lambda s: (not s.keeps, s.best.cost_usd if s.keeps else s.best.shortfall(classes)),
        )

    def classes(self, trace: int) -> tuple[ClassRule, ...]:
        """Those that the trace has requests of."""
        attained = self.sweeps[trace, OURS].best.attainment
        return tuple(rule for rule in self.service.classes if rule.name in attained)

    def relative_cost(self, run: Run) -> float | None:
        """To the clairvoyant's, where that took part and paid anything."""
        sweep = self.sweeps.get((run.trace, CLAIRVOYANT))
        if sweep is None or not sweep.best.cost_usd or not sweep.keeps:
            return None
        return run.cost_usd / sweep.best.cost_usd

    @property
    def change(self) -> Difference | None:
        old = self.runs(BASELINE)
        return difference(old, self.runs(OURS)) if old else None


def as_json(result: Backtest) -> dict[str, Any]:
    """For machines: money in USD, times in seconds, shares as fractions."""
    change = result.change
    return {
        "service": result.service.service,
        "rules_revision": result.revision,
        "seed": result.plan.seed,
        "traces": [
            {
                "trace": trace.name,
                "contenders": [_row(result, sweep) for sweep in result.ranked(index)],
            }
            for index, trace in enumerate(result.plan.traces)
        ],
        "baseline": None
        if change is None
        else {
            "cost_usd": _pair(change.cost_usd),
            "cost_increase": change.cost_increase,
            "slo_minutes": _pair(change.slo_minutes),
            "actions": _pair(change.actions),
        },
        "failures": list(result.failures),
    }


def _pair(values: Sequence[float]) -> dict[str, float]:
    return {"old": values[0], "new": values[1]}


def _row(result: Backtest, sweep: Sweep) -> dict[str, Any]:
    run = sweep.best
    return {
        "contender": run.contender,
        "title": TITLES[run.contender],
        "setting": run.setting,
        "keeps": sweep.keeps,
        "attainment": dict(run.attainment),
        "cost_usd": run.cost_usd,
        "cost_of_clairvoyant": result.relative_cost(run),
        "replica_hours": run.replica_hours,
        "actions": run.actions,
        "slo_minutes": run.slo_minutes,
        "requests": run.requests,
        "unserved": run.unserved,
        "latency": dict(run.latency),
        "tried": len(sweep.tried),
    }

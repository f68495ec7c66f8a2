"""Drives rule tests through the core: a start state, fed signals, expected decisions."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from poolwright import rulefiles
from poolwright.decision import PoolMemory, decide_pool
from poolwright.model.assessment import Assessment, Basis, Capacity
from poolwright.model.decision import PoolInputs
from poolwright.model.pool import PoolReport
from poolwright.model.rule import ForecastTrigger, PoolRule, ServiceRule, SloTrigger
from poolwright.model.signal import Signal, SignalStatus, Unhealthy
from poolwright.model.tick import Health
from poolwright.rulefiles.rule_tests import RuleTest, Step

ORIGIN_S = 1_700_000_000.0
LEARNED = (SloTrigger, ForecastTrigger)
AS_DECLARED = Capacity(
    Basis.DECLARED, 0.0, 0.0, 0.0, 0.0, 0.0, 1000.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0
)
EVERY_S = 1.0
"""The core is asked every second between the steps, as in production."""


@dataclass(slots=True)
class RuleTestResult:
    name: str
    failures: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Pool:
    ready: int
    starting: int
    memory: PoolMemory


def run_rule_tests(path: Path) -> list[RuleTestResult]:
    """Every test of a file or directory. Raises RuleFileError for files that cannot be read."""
    return [_run(test) for test in rulefiles.rule_tests.load(path)]


def _run(test: RuleTest) -> RuleTestResult:
    result = RuleTestResult(test.file)
    rules = rulefiles.load(test.rules)
    service = next((s for s in rules.services if s.service == test.service), None)
    if service is None:
        result.failures.append(f"{test.rules} has no service {test.service}")
        return result
    # The pools have stood as they start for long enough that no window is young.
    settled = PoolMemory(observed_since=0.0)
    pools = {
        pool.name: _Pool(0, 0, settled)
        if pool.name not in test.start
        else _Pool(test.start[pool.name].ready, test.start[pool.name].starting, settled)
        for pool in service.pools
    }
    at = test.steps[0].at
    known = {signal.name for signal in service.signals}
    for step, following in zip(test.steps, [*test.steps[1:], None], strict=True):
        for name, state in step.pools.items():
            pools[name].ready, pools[name].starting = state.ready, state.starting
        learning = {trigger.name for trigger in service.triggers if isinstance(trigger, LEARNED)}
        for name in sorted(set(step.needs) - learning):
            result.failures.append(f"at {step.at:g}s: no slo or forecast trigger is called {name}")
        unknown = sorted(set(step.signals) - known)
        if unknown:
            result.failures.append(f"at {step.at:g}s: the rules know no signal {unknown[0]}")
        at = step.at
        decided = {
            pool.name: _decide(service, pool, pools, step, at, rules.revision, news=True)
            for pool in service.pools
        }
        result.failures += _compare(step, decided)
        while following is not None and at + EVERY_S < following.at:
            at += EVERY_S
            for pool in service.pools:
                _decide(service, pool, pools, step, at, rules.revision, news=False)
    return result


def _decide(
    service: ServiceRule,
    rule: PoolRule,
    pools: dict[str, _Pool],
    step: Step,
    at: float,
    revision: str,
    *,
    news: bool,
) -> tuple[int, str, str]:
    pool = pools[rule.name]
    now = ORIGIN_S + at
    others = sum(
        (other.price_usd_per_hour or 0.0) * (pools[other.name].ready + pools[other.name].starting)
        for other in service.pools
        if other.name != rule.name
    )
    told = pool.ready + pool.starting
    inputs = PoolInputs(
        now,
        revision,
        service.service,
        rule.name,
        PoolReport(rule.name, now, told, pool.ready, pool.starting),
        tuple(_signal(signal.name, step, pool, told, now) for signal in service.signals),
        Health(),
        others,
        assessments=_assessments(service, rule, step, now),
    )
    memory = pool.memory
    if news:
        # A step expects a decision even where the daemon would only count a check.
        memory = replace(memory, recorded=None)
    pool.memory, decision = decide_pool(service, rule, inputs, memory)
    if decision is None:
        return told, "", ""
    if decision.acts:
        pool.starting += max(0, decision.desired - told)
        for _ in range(told - decision.desired):
            if pool.starting:
                pool.starting -= 1
            else:
                pool.ready -= 1
    return decision.desired, decision.outcome.value, decision.reason.value


def _assessments(
    service: ServiceRule, pool: PoolRule, step: Step, now: float
) -> tuple[Assessment, ...]:
    """What the step says was learned: a need that all models agree on, of a pool as declared."""
    return tuple(
        Assessment(
            trigger=trigger.name,
            request_class="",
            at=now,
            learned=True,
            capacity=AS_DECLARED,
            demand_per_s=0.0,
            waiting=None,
            need=step.needs[trigger.name],
            level=step.needs[trigger.name],
            sustained=step.needs[trigger.name],
            expected=step.needs[trigger.name],
            upper=step.needs[trigger.name],
            quantile=0.95,
            horizon_s=pool.startup_s,
            startup_s=pool.startup_s,
            startups=0,
            history_s=3600.0,
            skill=1.0,
        )
        for trigger in service.triggers_of(pool)
        if trigger.name in step.needs
    )


def _signal(name: str, step: Step, pool: _Pool, told: int, now: float) -> Signal:
    builtin = {
        "ready": float(pool.ready),
        "starting": float(pool.starting),
        "desired": float(told),
        "hour": now % 86400 / 3600,
        "weekday": (now // 86400 + 3) % 7,
    }
    value = step.signals.get(name, builtin.get(name, "missing"))
    if isinstance(value, str):
        return Signal(name, SignalStatus.MISSING, None, None, 0, why=Unhealthy.NO_SAMPLES)
    return Signal(name, SignalStatus.FRESH, float(value), 0.0, 1)


def _compare(step: Step, decided: dict[str, tuple[int, str, str]]) -> list[str]:
    failures: list[str] = []
    for pool, expected in step.expect.items():
        if pool not in decided:
            failures.append(f"at {step.at:g}s: the rules have no pool {pool}")
            continue
        desired, outcome, reason = decided[pool]
        for name, wanted, got in (
            ("desired", expected.desired, desired),
            ("outcome", expected.outcome, outcome),
            ("reason", expected.reason, reason),
        ):
            if wanted is not None and wanted != got:
                failures.append(
                    f"at {step.at:g}s: {pool}: expected {name} {wanted}, got {got}"
                    f" ({outcome}, {reason}, desired {desired})"
                )
    return failures

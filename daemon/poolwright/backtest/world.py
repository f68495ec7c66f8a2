"""What a backtest plays: one service's rules, the plant, and the traces."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from poolwright import rulefiles
from poolwright.capacity.carrying import Carrying, Objective, carrying
from poolwright.capacity.speed import Speed
from poolwright.model.rule import ClassRule, PoolRole, PoolRule, RuleSet, ServiceRule
from poolwright.simulation.spec import PlantSpec, PoolSpec
from poolwright.simulation.workloads import Workload

DRAIN_S = 900.0
"""How long a run goes on after the trace's last arrival."""


@dataclass(frozen=True, slots=True)
class Trace:
    name: str
    workload: Workload


@dataclass(frozen=True, slots=True)
class Plan:
    """A backtest as it is sent to a worker process: rules as text, since conditions are code."""

    rules: Mapping[str, str]
    baseline: Mapping[str, str] | None
    service: str
    spec: PlantSpec
    traces: tuple[Trace, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class World:
    """One trace of a plan, ready to be played."""

    rules: RuleSet
    service: ServiceRule
    spec: PlantSpec
    trace: Trace
    seed: int
    goals: tuple[ClassRule, ...]
    """What runs are measured by: the new rules' classes, for the old rules as well."""

    @property
    def pool(self) -> PoolRule:
        """The one that other autoscalers scale: the first default pool."""
        return next(pool for pool in self.service.pools if pool.role is PoolRole.DEFAULT)

    @property
    def pool_spec(self) -> PoolSpec:
        return next(pool for pool in self.spec.pools if pool.name == self.pool.name)


def world_of(plan: Plan, trace: int, *, baseline: bool = False) -> World:
    """Reads the rules from their text; a plan's rules are known to be good."""
    rules, service = _service(plan.rules, plan.service)
    goals = service.classes
    if baseline and plan.baseline is not None:
        rules, service = _service(plan.baseline, plan.service)
    return World(rules, service, plan.spec, plan.traces[trace], plan.seed, goals)


def _service(sources: Mapping[str, str], name: str) -> tuple[RuleSet, ServiceRule]:
    rules = rulefiles.load_sources(sources)
    return rules, next(service for service in rules.services if service.service == name)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one replica really carries at the SLO, as only the plant's maker can know it."""

    speed: Speed
    carrying: Carrying
    requests_per_s: float
    concurrency: float
    """Requests at once of a replica that carries that many."""


def strictest(classes: tuple[ClassRule, ...]) -> Objective:
    """All classes' limits at once: what a pool must keep that serves them all."""

    def least(values: list[float | None]) -> float | None:
        return min((value for value in values if value is not None), default=None)

    return Objective(
        least([rule.ttft_s for rule in classes]),
        least([rule.itl_s for rule in classes]),
        least([rule.e2e_s for rule in classes]),
        max((rule.attainment for rule in classes), default=0.99),
    )


def limits_of(world: World) -> Limits:
    """From the plant's true speed and the trace's mean request."""
    spec, workload = world.pool_spec, world.trace.workload
    speed = Speed(
        spec.itl_base_s, spec.itl_per_request_s, spec.prefill_base_s, spec.prefill_per_token_s
    )
    inputs = float(np.mean(workload.input_tokens)) if len(workload.input_tokens) else 1.0
    outputs = float(np.mean(workload.output_tokens)) if len(workload.output_tokens) else 1.0
    batch = min(float(spec.max_batch), max(1.0, spec.kv_tokens / max(inputs + outputs, 1.0)))
    load = carrying(
        speed,
        strictest(world.goals),
        input_tokens=inputs,
        output_tokens=outputs,
        max_batch=batch,
    )
    rate = load.requests_per_s(speed, inputs, outputs)
    prefill_s = spec.prefill_base_s + spec.prefill_per_token_s * inputs
    return Limits(speed, load, rate, max(rate * (prefill_s + load.decode_s), 0.1))

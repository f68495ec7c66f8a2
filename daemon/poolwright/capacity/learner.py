"""Everything that is learned of a service; fed by `step`, asked when it decides."""

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from poolwright.capacity.assessing import assess
from poolwright.capacity.demand import Demand
from poolwright.capacity.mix import Plan, Planner
from poolwright.capacity.past import Past
from poolwright.capacity.pool_learner import BLOCK_S, PoolLearner
from poolwright.capacity.question import Asking, question_of
from poolwright.model.assessment import Assessment
from poolwright.model.names import UNTOLD, NameTable
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule, ServiceRule
from poolwright.model.sample import Floats, ReplicaBatch, RequestBatch

PLAN_BLOCKS: Final = 3
"""Blocks for which a plan holds while no replica becomes ready or is lost."""


@dataclass(slots=True)
class Block:
    """What was worked out for a block of time, and holds until the next."""

    number: int | None = None
    plan: Plan = field(default_factory=dict)
    assessed: dict[tuple[str, str], Assessment] = field(default_factory=dict)
    """By pool and trigger."""
    planned: int = 0
    """The block that the plan was made in."""
    facts: tuple[int, ...] = ()
    """What the plan relied on: the number of classes, and the ready replicas of each pool."""


class ServiceLearner:
    """Learns one service: its demand, and each of its pools."""

    def __init__(self, service: ServiceRule, names: NameTable) -> None:
        self._names = names
        # A thousand services that planned in the same second would make one long call of it.
        self._offset_s = zlib.crc32(service.service.encode()) % BLOCK_S
        self.demand = Demand()
        self.pools = {pool.name: PoolLearner(pool) for pool in service.pools}
        self.planner = Planner()
        self.block = Block()

    # --- in --------------------------------------------------------------------------------

    def use(self, service: ServiceRule) -> None:
        """Another version of the rules: pools that stay keep what was learned."""
        self.pools = {
            pool.name: self.pools.get(pool.name) or PoolLearner(pool) for pool in service.pools
        }
        names = {rule.name for rule in service.classes} if _compared(service) else set()
        for pool in self.pools.values():
            pool.ended = {name: times for name, times in pool.ended.items() if name in names}
        self.block = Block()

    def hear(self, at: float, times: Iterable[Floats]) -> None:
        """Moves on to `at` and notes that telemetry of these times came."""
        self.demand.advance(at)
        for some in times:
            self.demand.hear(some)

    def replicas(self, batch: ReplicaBatch) -> None:
        """Takes gauge samples of this service."""
        for name, pool in self.pools.items():
            number = self._names.find(name)
            if number is not None and np.count_nonzero(mine := batch.pool == number):
                pool.gauge(batch, mine)

    def reports(self, reports: Iterable[PoolReport]) -> None:
        """Takes what providers said of pools."""
        for report in reports:
            pool = self.pools.get(report.pool)
            if pool is not None:
                pool.startups.report(report.at, report.ready, report.starting)

    def requests(self, service: ServiceRule, batch: RequestBatch) -> None:
        """Takes requests of this service that ended."""
        numbers = sorted(set(batch.request_class.tolist()))
        for number in numbers:
            inputs, outputs = batch.input_tokens, batch.output_tokens
            if len(numbers) > 1:
                mine = batch.request_class == number
                inputs, outputs = inputs[mine], outputs[mine]
            self.demand.of(number).answered(inputs, outputs)
        named = batch.replica != self._names.find(UNTOLD)
        compared = _compared(service)
        # With what never ran nothing is compared.
        running = any(pool.ended for name, pool in self.pools.items() if name in compared)
        for name, pool in self.pools.items():
            number = self._names.find(name)
            mine = (batch.pool == (-1 if number is None else number)) & batch.ok
            if not np.count_nonzero(mine):
                continue
            pool.learn(batch, mine, named)
            for rule in service.classes:
                known = self._names.find(rule.name)
                these = np.flatnonzero(mine & (batch.request_class == known))
                if len(these):
                    note = pool.note_outcomes if pool.speed.learned else pool.note_early
                    note(rule, batch, these)
                    if running or name in compared:
                        pool.note_times(rule, batch, these)

    def numbers(self) -> set[int]:
        """The numbers of the names of request classes and replicas that something is known of."""
        return set(self.demand.classes).union(*(p.replicas() for p in self.pools.values()))

    def remember(self, first_bin: int, per_s: Floats) -> int:
        """Takes requests a second of past bins (of `season.BIN_S`) from another record.

        Only what was not measured is filled in, and only the season: no speed and no forecast
        comes of it. Returns how many bins were unknown.
        """
        return self.demand.season.fill(first_bin, per_s)

    # --- out -------------------------------------------------------------------------------

    def plan(
        self,
        service: ServiceRule,
        reports: Mapping[str, PoolReport],
        most: Mapping[str, int],
        at: float,
    ) -> Plan:
        """Which pool carries what. `most` has each pool's bounds, lowered to what is in stock.

        Nothing before any telemetry came.
        """
        if self.demand.newest is not None:
            self.demand.advance(at)
        for name, report in reports.items():
            self.pools[name].note_ready(at, report.ready)
        if self.demand.seconds < BLOCK_S:
            return {}
        block = math.floor((at + self._offset_s) / BLOCK_S)
        if block == self.block.number:
            return self.block.plan
        for pool in self.pools.values():
            pool.refit(at, self._names)
        classes = {number: self._names.name(number) for number in self.demand.classes}
        facts = (len(classes), *(reports[name].ready if name in reports else -1
                                 for name in self.pools))  # fmt: skip
        old, past = self.block, Past(self.demand)
        if old.plan and facts == old.facts and block - old.planned < PLAN_BLOCKS:
            self.block = Block(block, old.plan, planned=old.planned, facts=facts)
        else:
            plan = self.planner.plan(service, past, self.pools, classes, reports, most, at)
            self.block = Block(block, plan, planned=block, facts=facts)
        self._assess(service, past, at)
        return self.block.plan

    def assess(
        self, service: ServiceRule, rule: PoolRule, trigger: Asking, at: float
    ) -> Assessment | None:
        """What a trigger of the pool asks for; None before any telemetry came. After `plan`."""
        asked = rule.name, trigger.name
        if rule.name in self.block.plan and asked not in self.block.assessed:
            # The rules are others than those that the block was worked out for, before a restart.
            self._assess(service, Past(self.demand), at)
        return self.block.assessed.get(asked)

    def _assess(self, service: ServiceRule, past: Past, at: float) -> None:
        """What the triggers of all pools ask for that is not known of this block."""
        for rule in service.pools:
            share = self.block.plan.get(rule.name)
            if share is None:
                continue
            shares = {
                number: share.share.classes[name]
                for number in self.demand.classes
                if (name := self._names.name(number)) in share.share.classes
            }
            for trigger in service.triggers_of(rule):
                asked = rule.name, trigger.name
                if isinstance(trigger, Asking) and asked not in self.block.assessed:
                    question = question_of(service, trigger)
                    pool = self.pools[rule.name]
                    self.block.assessed[asked] = assess(past, pool, rule, question, shares, at)


def _compared(service: ServiceRule) -> list[str]:
    """Accelerators whose measured times may be a reason to use them."""
    return [
        pool.name
        for pool in service.pools
        if pool.advantage is not None and pool.advantage.performance is not None
    ]

"""`step(state, tick) -> (state, decisions)`: the whole core.

No clock, no I/O: the tick carries the time, the samples and what providers report. `step` may
reuse the buffers of the state that it is given; the state given must not be used afterwards.
"""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from poolwright.capacity.feed import feed
from poolwright.capacity.learner import ServiceLearner
from poolwright.capacity.mix import Plan
from poolwright.capacity.saving import dump_learner, load_learner
from poolwright.decision.decide import decide_pool
from poolwright.decision.fleet import claim_of, share_out
from poolwright.decision.memory import (
    PoolMemory,
    current_count,
    fold_action,
    last_count,
    observe_anew,
)
from poolwright.model.assessment import Assessment
from poolwright.model.decision import Decision, FleetRoom, PoolInputs
from poolwright.model.names import NameTable
from poolwright.model.pool import PoolReport
from poolwright.model.rule import ForecastTrigger, PoolRule, RuleSet, ServiceRule, SloTrigger
from poolwright.model.sample import SampleBatch, TraceContext
from poolwright.model.signal import Signal, SignalStatus, Unhealthy
from poolwright.model.tick import Tick
from poolwright.signals.store import WindowStore

REPORT_MAX_AGE_S = 120.0
"""A provider's report older than this is no longer believed."""
MAX_CONTEXTS = 16
LEARNED = (SloTrigger, ForecastTrigger)


@dataclass(slots=True)
class CoreState:
    """Everything that the core remembers. Owned by whoever drives `step`."""

    names: NameTable
    store: WindowStore
    revision: str = ""
    memories: dict[str, PoolMemory] = field(default_factory=dict)
    reports: dict[str, PoolReport] = field(default_factory=dict)
    contexts: dict[str, tuple[TraceContext, ...]] = field(default_factory=dict)
    learners: dict[str, ServiceLearner] = field(default_factory=dict)
    """Of the services whose triggers decide by what was learned."""
    unused: dict[str, bytes] = field(default_factory=dict)
    """Learned before a restart, until the rules say of which pools."""
    checks: int = 0
    """Evaluations that found nothing new."""
    owned: frozenset[str] = frozenset()
    """Services of the last tick. A checkpoint leaves them out: a restart takes over, too."""


@dataclass(frozen=True, slots=True)
class _Saved:
    names: tuple[str, ...]
    store: bytes
    memories: Mapping[str, PoolMemory]
    reports: Mapping[str, PoolReport]
    contexts: Mapping[str, tuple[TraceContext, ...]]
    checks: int
    learned: Mapping[str, bytes] = field(default_factory=dict)


def new_state() -> CoreState:
    """A state that has seen nothing."""
    names = NameTable()
    return CoreState(names, WindowStore(names))


def dump_state(state: CoreState) -> bytes:
    """The state for a checkpoint: a restart from it resets nothing."""
    return msgspec.msgpack.encode(
        _Saved(
            state.names.names(),
            state.store.dump(),
            state.memories,
            state.reports,
            state.contexts,
            state.checks,
            {name: dump_learner(learner) for name, learner in state.learners.items()}
            | state.unused,
        )
    )


def load_state(data: bytes) -> CoreState:
    """The inverse of `dump_state`. Raises msgspec.DecodeError on foreign bytes."""
    saved = msgspec.msgpack.decode(data, type=_Saved)
    names = NameTable(saved.names)
    store = WindowStore(names)
    store.load(saved.store)
    return CoreState(
        names,
        store,
        "",
        dict(saved.memories),
        dict(saved.reports),
        dict(saved.contexts),
        checks=saved.checks,
        unused=dict(saved.learned),
    )


def step(state: CoreState, tick: Tick) -> tuple[CoreState, tuple[Decision, ...]]:
    """Folds the tick into the state and decides for every pool of the services owned."""
    use_rules(state, tick.rules)
    _fold(state, tick)
    decisions: list[Decision] = []
    owned = [s for s in tick.rules.services if tick.owned is None or s.service in tick.owned]
    for service in owned:
        if tick.owned is not None and service.service not in state.owned:
            _take_over(state, service, tick.at)
    rooms = _fleet_rooms(state, tick)
    for service in owned:
        decisions.extend(_decide_service(state, service, tick, rooms))
    state.owned = tick.owned or frozenset()
    return state, tuple(decisions)


def use_rules(state: CoreState, rules: RuleSet) -> None:
    """Windows and learners as the rules ask for; `step` sees to it that they are in force."""
    if state.revision != rules.revision:
        state.store.configure(rules)
        _use_learners(state, rules)
        state.revision = rules.revision


def _fold(state: CoreState, tick: Tick) -> None:
    """What the tick brings, into windows, learners, reports and memories."""
    learners = _learners(state, tick.rules) if tick.samples else {}
    for batch in tick.samples:
        state.store.ingest(batch, at=tick.at)
        feed(learners, batch, at=tick.at)
        _fold_contexts(state, batch)
    state.store.advance(tick.at)
    for report in tick.pools:
        known = state.reports.get(report.pool)
        if known is None or report.at >= known.at:
            state.reports[report.pool] = report
    if tick.pools:
        for learner in state.learners.values():
            learner.reports(tick.pools)
    for action in tick.actions:
        memory = state.memories.get(action.pool)
        if memory is not None:
            state.memories[action.pool] = fold_action(memory, action)


def _take_over(state: CoreState, service: ServiceRule, at: float) -> None:
    """Another instance may have decided meanwhile: what was observed before has a gap."""
    for pool in service.pools:
        memory = state.memories.get(pool.name)
        if memory is not None:
            state.memories[pool.name] = observe_anew(memory, at)


def next_wake(tick: Tick, interval_s: float = 1.0) -> float:
    """When the core next wants to be asked: timers and windows move even without samples."""
    return tick.at + interval_s


def _use_learners(state: CoreState, rules: RuleSet) -> None:
    """Services that still learn keep what they know; those that do not forget it."""
    learners = {}
    for service in rules.services:
        if any(isinstance(trigger, LEARNED) for trigger in service.triggers):
            known = state.learners.get(service.service)
            if known is None:
                known = ServiceLearner(service, state.names)
                if (saved := state.unused.get(service.service)) is not None:
                    # What another version learned is learned anew.
                    with contextlib.suppress(msgspec.ValidationError):
                        load_learner(known, saved)
            else:
                known.use(service)
            learners[service.service] = known
    state.learners, state.unused = learners, {}


def _learners(state: CoreState, rules: RuleSet) -> dict[int, tuple[ServiceRule, ServiceLearner]]:
    return {
        number: (service, state.learners[service.service])
        for service in rules.services
        if service.service in state.learners
        and (number := state.names.find(service.service)) is not None
    }


def _plan(state: CoreState, service: ServiceRule, at: float) -> Plan:
    """What each pool is to carry; empty where nothing is learned or too little is known."""
    learner = state.learners.get(service.service)
    if learner is None:
        return {}
    reports = {}
    most = {}
    for pool in service.pools:
        report = _report(state, pool, at)
        if report is not None:
            reports[pool.name] = report
        until = state.memories.get(pool.name, PoolMemory()).stock_until
        out_of_stock = until is not None and at < until and report is not None
        there = 0 if report is None else report.ready + report.starting
        most[pool.name] = min(pool.max_replicas, there) if out_of_stock else pool.max_replicas
    return learner.plan(service, reports, most, at)


def _assessments(
    state: CoreState, service: ServiceRule, pool: PoolRule, at: float
) -> tuple[Assessment, ...]:
    learner = state.learners.get(service.service)
    if learner is None:
        return ()
    found = [
        learner.assess(service, pool, trigger, at)
        for trigger in service.triggers_of(pool)
        if isinstance(trigger, LEARNED)
    ]
    return tuple(assessment for assessment in found if assessment is not None)


def _report(state: CoreState, pool: PoolRule, at: float) -> PoolReport | None:
    """The provider's last report, while it is believed."""
    report = state.reports.get(pool.name)
    return None if report is None or at - report.at > REPORT_MAX_AGE_S else report


def _fold_contexts(state: CoreState, batch: SampleBatch) -> None:
    for context in batch.contexts:
        kept = state.contexts.get(context.service, ())
        state.contexts[context.service] = (*kept, context)[-MAX_CONTEXTS:]


def _fleet_rooms(state: CoreState, tick: Tick) -> Mapping[str, FleetRoom]:
    """What the services' common budget and stock leave each pool, before any of them decides."""
    fleet = tick.rules.fleet
    if fleet is None:
        return {}
    claims = [
        claim_of(
            fleet,
            service,
            pool,
            state.memories.get(pool.name, PoolMemory()),
            count=_known_count(state, pool),
            reported=_report(state, pool, tick.at) is not None,
            owned=tick.owned is None or service.service in tick.owned,
        )
        for service in tick.rules.services
        for pool in service.pools
    ]
    return share_out(fleet, claims)


def _decide_service(
    state: CoreState, service: ServiceRule, tick: Tick, rooms: Mapping[str, FleetRoom]
) -> list[Decision]:
    decisions: list[Decision] = []
    contexts = state.contexts.pop(service.service, ())
    plan = _plan(state, service, tick.at)
    for pool in service.pools:
        report = _report(state, pool, tick.at)
        planned = plan.get(pool.name)
        inputs = PoolInputs(
            tick.at,
            tick.rules.revision,
            service.service,
            pool.name,
            report,
            _signals(state, service, pool, report, tick.at),
            tick.health,
            _other_cost(state, service, pool),
            contexts,
            _assessments(state, service, pool, tick.at),
            None if planned is None else planned.share,
            None if planned is None else planned.advantage,
            rooms.get(pool.name),
        )
        memory = state.memories.get(pool.name, PoolMemory())
        memory, decision = decide_pool(service, pool, inputs, memory)
        state.memories[pool.name] = memory
        if decision is None:
            state.checks += 1
        else:
            decisions.append(decision)
    if not decisions and contexts:
        state.contexts[service.service] = contexts
    return decisions


def _told(state: CoreState, pool: PoolRule) -> int:
    memory = state.memories.get(pool.name, PoolMemory())
    report = state.reports.get(pool.name)
    if report is None:
        return last_count(memory)
    return current_count(memory, report)


def _known_count(state: CoreState, pool: PoolRule) -> int | None:
    """None of a pool that was never reported: unknown is not zero."""
    memory = state.memories.get(pool.name, PoolMemory())
    return _told(state, pool) if memory.counts or pool.name in state.reports else None


def _other_cost(state: CoreState, service: ServiceRule, pool: PoolRule) -> float:
    # A float also where there is no other pool: 0 and 0.0 would give a decision two ids.
    return sum(
        (
            (other.price_usd_per_hour or 0.0) * _told(state, other)
            for other in service.pools
            if other.name != pool.name
        ),
        start=0.0,
    )


def _signals(
    state: CoreState,
    service: ServiceRule,
    pool: PoolRule,
    report: PoolReport | None,
    at: float,
) -> tuple[Signal, ...]:
    expected = 0 if report is None else report.ready
    signals: list[Signal] = []
    for rule in service.signals:
        if rule.builtin and rule.metric != "demand":
            value = _builtin(rule.metric, state, service, pool, report, at)
            signals.append(_known(rule.name, value))
        else:
            signal = state.store.evaluate(
                rule,
                service=service.service,
                pool=pool.name,
                at=at,
                expected_replicas=expected,
            )
            signals.append(_finite(signal))
    return tuple(signals)


def _finite(signal: Signal) -> Signal:
    """A statistic without a value (the slope of one sample) is missing, never a number."""
    if signal.value is None or math.isfinite(signal.value):
        return signal
    return replace(
        signal, status=SignalStatus.MISSING, value=None, why=Unhealthy.NO_SAMPLES, last_value=None
    )


def _known(name: str, value: float | None) -> Signal:
    if value is None:
        return Signal(name, SignalStatus.MISSING, None, None, 0, why=Unhealthy.NEVER_SEEN)
    return Signal(name, SignalStatus.FRESH, value, 0.0, 1)


def _builtin(  # noqa: PLR0911  one line a name
    metric: str,
    state: CoreState,
    service: ServiceRule,
    pool: PoolRule,
    report: PoolReport | None,
    at: float,
) -> float | None:
    match metric:
        case "hour":
            return at % 86400 / 3600
        case "weekday":
            return float((at // 86400 + 3) % 7)  # 1970-01-01 was a Thursday; Monday is 0
        case "cost":
            own = (pool.price_usd_per_hour or 0.0) * _told(state, pool)
            return own + _other_cost(state, service, pool)
        case _ if report is None:
            return None
        case "ready":
            return float(report.ready)
        case "starting":
            return float(report.starting)
        case _:
            return float(_told(state, pool))

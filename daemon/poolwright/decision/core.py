"""`step(state, tick) -> (state, decisions)`: the whole core.

No clock, no I/O: the tick carries the time, the samples and what providers report. `step` may
reuse the buffers of the state that it is given; the state given must not be used afterwards.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from poolwright.decision.decide import decide_pool
from poolwright.decision.memory import PoolMemory, current_count, fold_action, last_count
from poolwright.model.decision import Decision, PoolInputs
from poolwright.model.names import NameTable
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule, ServiceRule
from poolwright.model.sample import SampleBatch, TraceContext
from poolwright.model.signal import Signal, SignalStatus, Unhealthy
from poolwright.model.tick import Tick
from poolwright.signals.store import WindowStore

REPORT_MAX_AGE_S = 120.0
"""A provider's report older than this is no longer believed."""
MAX_CONTEXTS = 16


@dataclass(slots=True)
class CoreState:
    """Everything that the core remembers. Owned by whoever drives `step`."""

    names: NameTable
    store: WindowStore
    revision: str = ""
    memories: dict[str, PoolMemory] = field(default_factory=dict)
    reports: dict[str, PoolReport] = field(default_factory=dict)
    contexts: dict[str, tuple[TraceContext, ...]] = field(default_factory=dict)
    checks: int = 0
    """Evaluations that found nothing new."""


@dataclass(frozen=True, slots=True)
class _Saved:
    names: tuple[str, ...]
    store: bytes
    memories: Mapping[str, PoolMemory]
    reports: Mapping[str, PoolReport]
    contexts: Mapping[str, tuple[TraceContext, ...]]
    checks: int


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
        saved.checks,
    )


def step(state: CoreState, tick: Tick) -> tuple[CoreState, tuple[Decision, ...]]:
    """Folds the tick into the state and decides for every pool of the services owned."""
    if state.revision != tick.rules.revision:
        state.store.configure(tick.rules)
        state.revision = tick.rules.revision
    for batch in tick.samples:
        state.store.ingest(batch, at=tick.at)
        _fold_contexts(state, batch)
    state.store.advance(tick.at)
    for report in tick.pools:
        known = state.reports.get(report.pool)
        if known is None or report.at >= known.at:
            state.reports[report.pool] = report
    for action in tick.actions:
        memory = state.memories.get(action.pool)
        if memory is not None:
            state.memories[action.pool] = fold_action(memory, action)
    decisions: list[Decision] = []
    for service in tick.rules.services:
        if tick.owned is None or service.service in tick.owned:
            decisions.extend(_decide_service(state, service, tick))
    return state, tuple(decisions)


def next_wake(tick: Tick, interval_s: float = 1.0) -> float:
    """When the core next wants to be asked: timers and windows move even without samples."""
    return tick.at + interval_s


def _fold_contexts(state: CoreState, batch: SampleBatch) -> None:
    for context in batch.contexts:
        kept = state.contexts.get(context.service, ())
        state.contexts[context.service] = (*kept, context)[-MAX_CONTEXTS:]


def _decide_service(state: CoreState, service: ServiceRule, tick: Tick) -> list[Decision]:
    decisions: list[Decision] = []
    contexts = state.contexts.pop(service.service, ())
    for pool in service.pools:
        report = state.reports.get(pool.name)
        if report is not None and tick.at - report.at > REPORT_MAX_AGE_S:
            report = None
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


def _other_cost(state: CoreState, service: ServiceRule, pool: PoolRule) -> float:
    return sum(
        (other.price_usd_per_hour or 0.0) * _told(state, other)
        for other in service.pools
        if other.name != pool.name
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

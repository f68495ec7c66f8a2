"""Everything that the core remembers between ticks, and how a checkpoint keeps it."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from poolwright.capacity.learner import ServiceLearner
from poolwright.capacity.saving import dump_learner, load_learner
from poolwright.decision.memory import PoolMemory, current_count, last_count
from poolwright.model.names import FRESH, NameTable, Sweeping
from poolwright.model.pool import PoolReport
from poolwright.model.rule import ForecastTrigger, PoolRule, RuleSet, ServiceRule, SloTrigger
from poolwright.model.sample import TraceContext
from poolwright.signals.store import WindowStore

REPORT_MAX_AGE_S: Final = 120.0
"""A provider's report older than this is no longer believed."""
LEARNED: Final = (SloTrigger, ForecastTrigger)


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
    names: tuple[str | None, ...]
    store: bytes
    memories: Mapping[str, PoolMemory]
    reports: Mapping[str, PoolReport]
    contexts: Mapping[str, tuple[TraceContext, ...]]
    checks: int
    learned: Mapping[str, bytes] = field(default_factory=dict)
    sweeping: Sweeping = FRESH
    """Of the names."""


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
            state.names.sweeping,
        )
    )


def load_state(data: bytes) -> CoreState:
    """The inverse of `dump_state`. Raises msgspec.DecodeError on foreign bytes."""
    saved = msgspec.msgpack.decode(data, type=_Saved)
    names = NameTable(saved.names, saved.sweeping)
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


def use_rules(state: CoreState, rules: RuleSet) -> None:
    """Windows and learners as the rules ask for; `step` sees to it that they are in force."""
    if state.revision != rules.revision:
        state.store.configure(rules)
        _use_learners(state, rules)
        state.revision = rules.revision


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


def report_of(state: CoreState, pool: PoolRule, at: float) -> PoolReport | None:
    """The provider's last report, while it is believed."""
    report = state.reports.get(pool.name)
    return None if report is None or at - report.at > REPORT_MAX_AGE_S else report


def told(state: CoreState, pool: PoolRule) -> int:
    memory = state.memories.get(pool.name, PoolMemory())
    report = state.reports.get(pool.name)
    if report is None:
        return last_count(memory)
    return current_count(memory, report)


def known_count(state: CoreState, pool: PoolRule) -> int | None:
    """None of a pool that was never reported: unknown is not zero."""
    memory = state.memories.get(pool.name, PoolMemory())
    return told(state, pool) if memory.counts or pool.name in state.reports else None


def other_cost(state: CoreState, service: ServiceRule, pool: PoolRule) -> float:
    # A float also where there is no other pool: 0 and 0.0 would give a decision two ids.
    return sum(
        (
            (other.price_usd_per_hour or 0.0) * told(state, other)
            for other in service.pools
            if other.name != pool.name
        ),
        start=0.0,
    )

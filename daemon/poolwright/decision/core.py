"""`step(state, tick) -> (state, decisions)`: the whole core.

No clock, no I/O: the tick carries the time, the samples and what providers report. `step` may
reuse the buffers of the state that it is given; the state given must not be used afterwards.
"""

from collections.abc import Mapping
from functools import partial

from poolwright.decision.decide import decide_pool
from poolwright.decision.fleet import claim_of, share_out
from poolwright.decision.folding import fold, take_over
from poolwright.decision.forgetting import forget_names
from poolwright.decision.memory import PoolMemory
from poolwright.decision.seeing import assessments_of, idleness_of, loads_of, plan_of, signals_of
from poolwright.decision.state import CoreState, known_count, other_cost, report_of, use_rules
from poolwright.model.decision import Decision, FleetRoom, PoolInputs
from poolwright.model.rule import ServiceRule
from poolwright.model.tick import Tick


def step(state: CoreState, tick: Tick) -> tuple[CoreState, tuple[Decision, ...]]:
    """Folds the tick into the state and decides for every pool of the services owned."""
    use_rules(state, tick.rules)
    fold(state, tick)
    decisions: list[Decision] = []
    owned = [s for s in tick.rules.services if tick.owned is None or s.service in tick.owned]
    for service in owned:
        if tick.owned is not None and service.service not in state.owned:
            take_over(state, service, tick.at)
    rooms = _fleet_rooms(state, tick)
    for service in owned:
        decisions.extend(_decide_service(state, service, tick, rooms))
    state.owned = tick.owned or frozenset()
    forget_names(state, tick.rules, tick.at)
    return state, tuple(decisions)


def next_wake(tick: Tick, interval_s: float = 1.0) -> float:
    """When the core next wants to be asked: timers and windows move even without samples."""
    return tick.at + interval_s


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
            count=known_count(state, pool),
            reported=report_of(state, pool, tick.at) is not None,
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
    plan = plan_of(state, service, tick.at)
    for pool in service.pools:
        report = report_of(state, pool, tick.at)
        planned = plan.get(pool.name)
        inputs = PoolInputs(
            tick.at,
            tick.rules.revision,
            service.service,
            pool.name,
            report,
            signals_of(state, service, pool, report, tick.at),
            tick.health,
            other_cost(state, service, pool),
            contexts,
            assessments_of(state, service, pool, tick.at),
            None if planned is None else planned.share,
            None if planned is None else planned.advantage,
            rooms.get(pool.name),
            idleness=idleness_of(state, service, pool, report, tick.at),
        )
        memory = state.memories.get(pool.name, PoolMemory())
        loads = partial(loads_of, state, service.service, pool.name, tick.at)
        memory, decision = decide_pool(service, pool, inputs, memory, loads)
        state.memories[pool.name] = memory
        if decision is None:
            state.checks += 1
        else:
            decisions.append(decision)
    if not decisions and contexts:
        state.contexts[service.service] = contexts
    return decisions

"""What a tick brings, folded into the state: samples, reports, how actions went."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from poolwright.capacity.feed import Learners, feed
from poolwright.decision.classing import with_classes
from poolwright.decision.memory import fold_action, observe_anew
from poolwright.decision.state import CoreState
from poolwright.model.pool import PoolReport
from poolwright.model.rule import RuleSet, ServiceRule
from poolwright.model.sample import SampleBatch
from poolwright.model.tick import Tick

MAX_CONTEXTS: Final = 16


def fold(state: CoreState, tick: Tick) -> None:
    """What the tick brings, into windows, learners, reports and memories."""
    learners = _learners(state, tick.rules) if tick.samples else {}
    for told in tick.samples:
        batch = with_classes(told, tick.rules, state.names)
        state.store.ingest(batch, at=tick.at)
        feed(learners, batch, at=tick.at)
        _fold_contexts(state, batch)
    state.store.advance(tick.at)
    for report in tick.pools:
        known = state.reports.get(report.pool)
        if known is None or report.at >= known.at:
            state.reports[report.pool] = report
    if tick.pools:
        reports = _by_pool(tick.pools)
        for learner in state.learners.values():
            learner.reports(r for pool in learner.pools for r in reports.get(pool, ()))
    for action in tick.actions:
        memory = state.memories.get(action.pool)
        if memory is not None:
            state.memories[action.pool] = fold_action(memory, action)


def take_over(state: CoreState, service: ServiceRule, at: float) -> None:
    """Another instance may have decided meanwhile: what was observed before has a gap."""
    for pool in service.pools:
        memory = state.memories.get(pool.name)
        if memory is not None:
            state.memories[pool.name] = observe_anew(memory, at)


def _learners(state: CoreState, rules: RuleSet) -> Learners:
    return {
        number: (service, state.learners[service.service])
        for service in rules.services
        if service.service in state.learners
        and (number := state.names.find(service.service)) is not None
    }


def _by_pool(reports: Iterable[PoolReport]) -> Mapping[str, Sequence[PoolReport]]:
    """Looked up by every learner, each of which would else look through those of all services."""
    found: dict[str, list[PoolReport]] = {}
    for report in reports:
        found.setdefault(report.pool, []).append(report)
    return found


def _fold_contexts(state: CoreState, batch: SampleBatch) -> None:
    for context in batch.contexts:
        kept = state.contexts.get(context.service, ())
        state.contexts[context.service] = (*kept, context)[-MAX_CONTEXTS:]

"""Forgets names of replicas, pools and classes that nothing in the state is about any more."""

from poolwright.decision.state import CoreState
from poolwright.model.names import UNTOLD
from poolwright.model.rule import RuleSet


def forget_names(state: CoreState, rules: RuleSet, at: float) -> None:
    """Sweeps the table of names when it is time; those that rules name stay."""
    if not state.names.to_sweep(at):
        return
    used = state.store.numbers()
    for learner in state.learners.values():
        used |= learner.numbers()
    named = [UNTOLD]
    for service in rules.services:
        named.append(service.service)
        named += [pool.name for pool in service.pools]
        named += [rule.name for rule in service.classes]
    used |= {number for name in named if (number := state.names.find(name)) is not None}
    state.names.sweep(used, at)

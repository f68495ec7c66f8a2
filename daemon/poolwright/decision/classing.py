"""Requests that name no class are of the first class of their service's rule file."""

from dataclasses import replace

from poolwright.model.names import UNTOLD, NameTable
from poolwright.model.rule import RuleSet
from poolwright.model.sample import Ids, SampleBatch


def with_classes(batch: SampleBatch, rules: RuleSet, names: NameTable) -> SampleBatch:
    """The batch with a class in each arrival and request of a service that has any."""
    unnamed = names.find(UNTOLD)
    arrivals, requests = batch.arrivals, batch.requests
    if unnamed is None:
        return batch
    told = arrivals.request_class, requests.request_class
    if not any((classes == unnamed).any() for classes in told):
        return batch
    first = {
        number: names.intern(service.classes[0].name)
        for service in rules.services
        if service.classes and (number := names.find(service.service)) is not None
    }
    return replace(
        batch,
        arrivals=replace(arrivals, request_class=_named(told[0], arrivals.service, unnamed, first)),
        requests=replace(requests, request_class=_named(told[1], requests.service, unnamed, first)),
    )


def _named(classes: Ids, services: Ids, unnamed: int, first: dict[int, int]) -> Ids:
    found = classes.copy()
    for service, request_class in first.items():
        found[(classes == unnamed) & (services == service)] = request_class
    return found

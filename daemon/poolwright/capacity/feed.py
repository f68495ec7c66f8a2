"""Gives every learner the samples of its own service."""

from collections.abc import Mapping

import numpy as np

from poolwright.capacity.learner import ServiceLearner
from poolwright.model.rule import ServiceRule
from poolwright.model.sample import Ids, ReplicaBatch, RequestBatch, SampleBatch

Learners = Mapping[int, tuple[ServiceRule, ServiceLearner]]
"""By the service's number."""


def feed(learners: Learners, batch: SampleBatch, *, at: float) -> None:
    """Sorts a batch by service once, whatever the number of services."""
    arrivals, requests, replicas = batch.arrivals, batch.requests, batch.replicas
    came, ended, gauged = (
        _by_service(numbers) for numbers in (arrivals.service, requests.service, replicas.service)
    )
    for number in sorted({*came, *ended, *gauged} & set(learners)):
        service, learner = learners[number]
        first, second, third = (table.get(number) for table in (came, ended, gauged))
        times = [
            samples.at[index]
            for samples, index in ((arrivals, first), (requests, second), (replicas, third))
            if index is not None
        ]
        learner.hear(at, times)
        if first is not None:
            learner.demand.arrived(
                arrivals.at[first], arrivals.request_class[first], arrivals.input_tokens[first]
            )
        if second is not None:
            learner.requests(service, _requests(requests, second))
        if third is not None:
            learner.replicas(_replicas(replicas, third))


def _by_service(numbers: Ids) -> dict[int, Ids]:
    """Indices of each service's samples, in their order."""
    if not len(numbers):
        return {}
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, starts[1:]), strict=True))


def _requests(batch: RequestBatch, index: Ids) -> RequestBatch:
    return RequestBatch(
        batch.at[index],
        batch.service[index],
        batch.pool[index],
        batch.replica[index],
        batch.request_class[index],
        batch.input_tokens[index],
        batch.output_tokens[index],
        batch.ttft_s[index],
        batch.itl_s[index],
        batch.e2e_s[index],
        batch.ok[index],
    )


def _replicas(batch: ReplicaBatch, index: Ids) -> ReplicaBatch:
    return ReplicaBatch(
        batch.at[index],
        batch.service[index],
        batch.pool[index],
        batch.replica[index],
        batch.values[index],
    )

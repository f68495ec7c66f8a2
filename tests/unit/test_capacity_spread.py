"""Services plan at different seconds: a thousand of them are not one long call in ten."""

from collections import Counter
from dataclasses import replace

import numpy as np
from tests.unit.capacity_bench import RULES

from poolwright.capacity.learner import ServiceLearner
from poolwright.capacity.pool_learner import BLOCK_S
from poolwright.model.names import NameTable
from poolwright.rulefiles import load_sources

AT = 1_000_000


def test_services_plan_in_every_second_of_a_block_each_once():
    planned: Counter[int] = Counter()
    rules = load_sources({"chat.yaml": RULES}).services[0]
    for number in range(100):
        service = replace(rules, service=f"chat-{number}")
        learner = ServiceLearner(service, NameTable())
        learner.hear(AT - 60.0, [])
        learner.hear(AT, [np.arange(AT - 60.0, AT)])
        learner.plan(service, {}, {"gpu": 12}, AT)
        for second in range(AT + 1, AT + 1 + BLOCK_S):
            before = learner.block.number
            learner.plan(service, {}, {"gpu": 12}, second)
            planned[second] += learner.block.number != before
    assert planned.total() == 100
    assert len(+planned) == BLOCK_S
    assert max(planned.values()) < 30

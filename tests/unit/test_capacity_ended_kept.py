"""Which requests a service's learner keeps the times of, and that a restart keeps them."""

import msgspec
import numpy as np
import pytest
from tests.unit.capacity_bench import ACCELERATOR, FAST, RULES, Drive, Target

from poolwright.capacity.learner import ServiceLearner
from poolwright.capacity.saving import dump_learner, load_learner
from poolwright.controller import Controller
from poolwright.model.names import NameTable
from poolwright.model.sample import RequestBatch
from poolwright.rulefiles import load_sources

BOTH = RULES.replace("\ntriggers:\n", ACCELERATOR, 1)
AT = 1_000_000.0


def service(text: str = BOTH):
    return load_sources({"chat.yaml": text}).services[0]


class Bench:
    """A learner, and requests for it."""

    def __init__(self, text: str = BOTH) -> None:
        self.names = NameTable()
        self.service = service(text)
        self.learner = ServiceLearner(self.service, self.names)

    def end(self, count: int, pool: str = "gpu", *, ok: bool = True, of: str = "chat") -> None:
        self.learner.requests(
            self.service,
            RequestBatch(
                at=np.full(count, AT),
                service=np.full(count, self.names.intern("chat"), dtype=np.int32),
                pool=np.full(count, self.names.intern(pool), dtype=np.int32),
                replica=np.full(count, self.names.intern("r"), dtype=np.int32),
                request_class=np.full(count, self.names.intern(of), dtype=np.int32),
                input_tokens=np.full(count, 500.0),
                output_tokens=np.full(count, 100.0),
                ttft_s=np.full(count, 0.1),
                itl_s=np.full(count, 0.02),
                e2e_s=np.full(count, 2.1),
                ok=np.full(count, ok),
            ),
        )

    def kept(self, pool: str = "gpu") -> dict[str, int]:
        ended = self.learner.pools[pool].ended
        return {name: times.measured(AT)["itl"].requests for name, times in ended.items()}


def test_what_ended_well_counts_from_the_first_request_on() -> None:
    bench = Bench()
    bench.end(3, "wse")
    bench.end(7)
    bench.end(5, ok=False)
    bench.end(4, of="unknown")
    assert (bench.kept(), bench.kept("wse")) == ({"chat": 7}, {"chat": 3})


def test_nothing_is_kept_before_the_accelerator_ran() -> None:
    bench = Bench()
    bench.end(7)
    assert bench.kept() == {}
    bench.end(1, "wse")
    bench.end(2)
    assert bench.kept() == {"chat": 2}


@pytest.mark.parametrize("text", [RULES, BOTH.replace("performance: 30%, ", "")])
def test_nothing_is_kept_where_nothing_is_compared(text) -> None:
    bench = Bench(text)
    bench.end(7)
    assert bench.kept() == {}


def test_rules_that_compare_no_more_forget() -> None:
    bench = Bench()
    bench.end(1, "wse")
    bench.end(7)
    bench.learner.use(bench.service)
    assert bench.kept() == {"chat": 7}
    bench.learner.use(service(BOTH.replace("performance: 30%, ", "")))
    assert bench.kept() == {}


def test_a_restart_keeps_them() -> None:
    bench = Bench()
    bench.end(1, "wse")
    bench.end(150)
    again = ServiceLearner(bench.service, bench.names)
    load_learner(again, dump_learner(bench.learner))
    before = bench.learner.pools["gpu"].ended["chat"].measured(AT)
    assert again.pools["gpu"].ended["chat"].measured(AT) == before
    assert before["itl"].p95_s == pytest.approx(0.02)


def without(plain, slot: str):
    """What a version that did not know the slot would have saved."""
    match plain:
        case ["object", kind, slots]:
            return ["object", kind, [[name, without(value, slot)] for name, value in slots
                                     if name != slot]]  # fmt: skip
        case list():
            return [without(item, slot) for item in plain]
        case _:
            return plain


def test_a_checkpoint_of_a_version_without_them_still_loads() -> None:
    driven = Drive(
        Controller.from_sources({"chat.yaml": BOTH}),
        Target("gpu", ready=2),
        Target("wse", speed=FAST, weight=6, ready=1),
    )
    driven.run(60, 9.0)
    learner = driven.controller._state.learners["chat"]
    older = without(msgspec.msgpack.decode(dump_learner(learner)), "ended")
    rules = driven.controller.rules
    again = ServiceLearner(rules.services[0], driven.controller._state.names)
    load_learner(again, msgspec.msgpack.encode(older))
    assert all(pool.ended == {} for pool in again.pools.values())
    assert again.pools["gpu"].speed.requests == learner.pools["gpu"].speed.requests > 0

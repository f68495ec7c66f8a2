"""A restart in the middle of a service's life changes no decision."""

import gzip
from pathlib import Path

import msgspec
import pytest
from tests.unit.capacity_bench import ACCELERATOR, FAST, RULES, Drive, Target

from poolwright.capacity.demand import RING_S
from poolwright.capacity.learner import ServiceLearner
from poolwright.capacity.saving import BATCH_OF_MOMENTS, FORMAT, dump_learner, load_learner
from poolwright.controller import Controller
from poolwright.model.names import NameTable
from poolwright.rulefiles import load_sources

OLDER = Path(__file__).parents[1] / "golden" / "checkpoints" / "windows-4-learned-3.msgpack.gz"
"""What the version before saved after the first 200 s of `BOTH` at 9 requests a second."""
BOTH = RULES.replace("\ntriggers:\n", ACCELERATOR, 1)


def twins(text: str) -> tuple[Drive, Drive]:
    made = []
    for _ in range(2):
        pools = [Target("gpu", ready=2)]
        if "wse" in text:
            pools.append(Target("wse", speed=FAST, weight=6))
        made.append(Drive(Controller.from_sources({"chat.yaml": text}), *pools))
    return made[0], made[1]


def restart(driven: Drive) -> None:
    rules = driven.controller.rules
    saved = driven.controller.dump()
    driven.controller = Controller(rules)
    driven.controller.restore(saved)


def as_bytes(decisions) -> list[bytes]:
    return [msgspec.json.encode(decision, order="sorted") for decision in decisions]


@pytest.mark.parametrize(
    ("text", "second"),
    [(RULES, 5), (RULES, 300), (RULES, 303), (BOTH, 243)],
    ids=["cold", "on a block", "within a block", "two pools"],
)
def test_decisions_are_the_same_byte_for_byte(text, second) -> None:
    one, other = twins(text)
    for driven in (one, other):
        driven.run(second, 9.0)
        if driven is other:
            restart(driven)
        driven.run(60, 9.0)
        driven.run(60, 25.0, waiting=3.0)
    assert len(one.decisions) >= 5
    assert as_bytes(other.decisions) == as_bytes(one.decisions)


def test_what_is_saved_is_the_same_again() -> None:
    driven, _ = twins(BOTH)
    driven.run(200, 9.0)
    saved = driven.controller.dump()
    restart(driven)
    assert driven.controller.dump() == saved


def test_the_checkpoint_of_the_version_before_is_gone_on_from(monkeypatch) -> None:
    # How many may be short at first was another figure then.
    monkeypatch.setattr("poolwright.capacity.calibration.LEEWAY", 1.0)
    one, other = twins(BOTH)
    for driven in (one, other):
        driven.run(200, 9.0)
    before = len(one.decisions)
    other.controller = Controller(one.controller.rules)
    other.controller.restore(gzip.decompress(OLDER.read_bytes()))
    for driven in (one, other):
        driven.run(60, 9.0)
        driven.run(60, 25.0, waiting=3.0)
    assert len(one.decisions) >= before + 5
    # What triggers remember of the tick before was less then; all that they saw is the same.
    seen = [
        [(d.at, d.pool, d.desired, d.inputs) for d in driven.decisions] for driven in (one, other)
    ]
    assert seen[0] == seen[1]
    # In as few bytes, too.
    sizes = [len(driven.controller.dump()) for driven in (one, other)]
    assert sizes[1] < 1.1 * sizes[0]


def test_another_format_is_refused() -> None:
    service = load_sources({"chat.yaml": RULES}).services[0]
    learner = ServiceLearner(service, NameTable())
    data = msgspec.msgpack.decode(dump_learner(learner))
    data[0] = FORMAT + 1
    with pytest.raises(msgspec.ValidationError, match=f"format {FORMAT + 1}"):
        load_learner(learner, msgspec.msgpack.encode(data))


def test_demand_of_the_format_before_was_asked_since_it_was_heard() -> None:
    driven, other = twins(RULES)
    driven.run(100, 5.0)
    learner = driven.controller._state.learners["chat"]
    data = msgspec.msgpack.decode(dump_learner(learner))
    data[0] = 2
    data[1][2] = [slot for slot in data[1][2] if slot[0] != "asked_since"]
    fresh = other.controller
    fresh.decide(other.at)
    loaded = fresh._state.learners["chat"]
    load_learner(loaded, msgspec.msgpack.encode(data))
    assert loaded.demand.asked_since == learner.demand.since


def test_before_anything_was_heard_there_was_a_ring_of_it_too() -> None:
    learner = ServiceLearner(load_sources({"chat.yaml": RULES}).services[0], NameTable())
    data = msgspec.msgpack.decode(dump_learner(learner))
    slots = dict(data[1][2])
    slots["heard"] = ["array", "|b1", [RING_S], bytes(RING_S)]
    data[0], data[1][2] = 3, list(slots.items())
    load_learner(learner, msgspec.msgpack.encode(data))
    assert learner.demand.heard == []


def test_what_an_older_version_kept_and_this_one_does_not_is_let_go() -> None:
    driven, other = twins(RULES)
    driven.run(100, 9.0)
    learner = driven.controller._state.learners["chat"]
    data = msgspec.msgpack.decode(dump_learner(learner))
    slots = dict(data[2][1][0][1][2])
    slots["calibration"][2].extend([["seen", 300.0], ["missed", 3.0]])
    fresh = other.controller
    fresh.decide(other.at)
    loaded = fresh._state.learners["chat"]
    load_learner(loaded, msgspec.msgpack.encode(data))
    assert dump_learner(loaded) == dump_learner(learner)


def test_the_limit_of_a_batch_is_kept_and_that_of_the_format_before_learned_anew() -> None:
    driven, other = twins(RULES)
    driven.run(60, 9.0, waiting=3.0)
    learner = driven.controller._state.learners["chat"]
    limit = learner.pools["gpu"].batch
    assert limit.requests is not None
    assert limit.replicas()
    data = msgspec.msgpack.decode(dump_learner(learner))
    other.run(1, 9.0)
    loaded = other.controller._state.learners["chat"]
    load_learner(loaded, msgspec.msgpack.encode(data))
    again = loaded.pools["gpu"].batch
    assert (again.requests, again.replicas()) == (limit.requests, limit.replicas())
    (pool,) = (parts for _, (_, _, parts) in data[2][1])
    pool[:] = [[slot, value] for slot, value in pool if slot != "batch"] + [["batch_cap", 3.0]]
    data[0] = BATCH_OF_MOMENTS
    fresh = ServiceLearner(load_sources({"chat.yaml": RULES}).services[0], NameTable())
    load_learner(fresh, msgspec.msgpack.encode(data))
    assert fresh.pools["gpu"].batch.requests is None
    assert fresh.pools["gpu"].gauges == learner.pools["gpu"].gauges


def test_drift_of_an_older_version_begins_anew_and_says_what_it_said() -> None:
    driven, other = twins(RULES)
    driven.run(400, 9.0)
    learner = driven.controller._state.learners["chat"]
    data = msgspec.msgpack.decode(dump_learner(learner))
    (pool,) = (parts for _, (_, _, parts) in data[2][1])
    drift = next(value for slot, value in pool if slot == "drift")
    pool[:] = [[slot, value] for slot, value in pool if slot != "paces"]
    drift[2] = [["_itl_s", 0.02], ["_prefill_s", 0.1], ["words", "prefill 9 ms, was 4 ms"]]
    other.run(1, 9.0)
    loaded = other.controller._state.learners["chat"]
    load_learner(loaded, msgspec.msgpack.encode(data))
    assert loaded.pools["gpu"].drift.words == "prefill 9 ms, was 4 ms"
    other.at = driven.at
    other.run(300, 9.0)
    found = loaded.pools["gpu"]
    assert found.drift.words == ""
    assert len(found.paces._numbers) == driven.pools[0].ready
    assert found.drift._refits > 1.0


def test_rules_that_changed_while_it_was_down_keep_the_pools_that_stay() -> None:
    driven, _ = twins(BOTH)
    driven.run(200, 9.0)
    saved = driven.controller.dump()
    alone = Controller.from_sources({"chat.yaml": RULES})
    alone.restore(saved)
    alone.decide(driven.at + 1)
    pools = alone._state.learners["chat"].pools
    assert set(pools) == {"gpu"}
    assert pools["gpu"].speed.learned

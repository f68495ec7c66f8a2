"""What is told of the replicas that go first: in `explain`, and in the span of the action."""

import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from poolwright.model.decision import Decision, Outcome, PoolInputs, Reason, ReplicaLoad
from poolwright.model.pool import ActionReport, ActionStatus, PoolReport
from poolwright.model.tick import Health
from poolwright.record.explain import explain, explain_dict
from poolwright.record.explain_pool import explain_pool
from poolwright.record.first_to_go import SHOWN, first_to_go
from poolwright.record.journal import StoredDecision
from poolwright.record.pool_story import Origin, PoolStory
from poolwright.record.traces import Tracing
from poolwright.settings import TraceSettings

IDLE = ReplicaLoad("gpu-7f-a", 99.0, 0.0, 0.0, 0.004)
BUSY = ReplicaLoad("gpu-7f-b", 99.0, 12.0, 1.5, None)


def decision(current: int, desired: int, *loads: ReplicaLoad) -> Decision:
    outcome = Outcome.SCALE_UP if desired > current else Outcome.SCALE_DOWN
    report = PoolReport("gpu", 99.0, current, current)
    inputs = PoolInputs(100.0, "r1", "chat", "gpu", report, (), Health(), least_loaded=loads)
    return Decision(
        f"{1:032x}", 100.0, "chat", "gpu", current, desired, outcome, Reason.PROPOSED,
        (), (), {}, "r1", inputs, b"{}",
    )  # fmt: skip


def drawn(what: RenderableType) -> str:
    console = Console(file=StringIO(), width=200)
    console.print(what)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_names_come_with_their_loads() -> None:
    assert first_to_go(decision(4, 2, IDLE, BUSY)) == (
        "gpu-7f-a (0 running, 0 waiting, KV cache 0.4%), gpu-7f-b (12 running, 1.5 waiting)"
    )


def test_whom_nobody_names_the_provider_chooses() -> None:
    told = first_to_go(decision(4, 1, BUSY))
    assert told == "gpu-7f-b (12 running, 1.5 waiting); and 2 that the provider chooses"
    unknown = first_to_go(decision(4, 1))
    assert unknown is not None
    assert "none has said lately" in unknown


def test_many_are_counted() -> None:
    told = first_to_go(decision(12, 2, *(replace(BUSY, replica=f"gpu-{i}") for i in range(10))))
    assert told is not None
    assert told.endswith(f"), {10 - SHOWN} more")
    assert told.count("running") == SHOWN


def test_nothing_is_said_where_nobody_goes() -> None:
    assert first_to_go(decision(2, 4)) is None
    assert first_to_go(replace(decision(4, 2), outcome=Outcome.ADVISE)) is None


def test_explain_says_it_of_a_decision_and_of_a_pool() -> None:
    down = decision(4, 3, IDLE)
    named = "gpu-7f-a (0 running, 0 waiting, KV cache 0.4%)"
    assert f"first to go: {named}" in drawn(explain(down, (), 200.0))
    story = PoolStory("gpu", 3, down, 100.0, Origin.DECIDED, 100.0, change=down)
    (row,) = [line for line in drawn(explain_pool(story, 200.0)).splitlines() if named in line]
    assert row.split()[:3] == ["first", "to", "go"]
    body = explain_dict(StoredDecision(down, 1), ())
    assert body["decision"]["inputs"]["least_loaded"][0]["replica"] == "gpu-7f-a"
    up = decision(3, 4)
    assert "first to go" not in drawn(explain(up, (), 200.0))
    assert "first to go" not in drawn(explain_pool(replace(story, latest=up, change=up), 200.0))


class Sink:
    def __init__(self) -> None:
        self.spans: dict[str, dict] = {}

    def record_spans(self, spans) -> None:
        for _, body in spans:
            span = json.loads(body)
            self.spans[span["name"]] = span["attributes"]


@pytest.mark.parametrize(
    ("one", "named"),
    [
        (decision(4, 2, IDLE, BUSY), ["gpu-7f-a", "gpu-7f-b"]),
        (decision(4, 2), None),
        (decision(2, 4), None),
    ],
)
def test_the_action_has_the_names_as_an_attribute_and_its_confirmation_has_not(one, named) -> None:
    sink = Sink()
    tracing = Tracing(TraceSettings(), sink)
    for status in (ActionStatus.DONE, ActionStatus.CONFIRMED):
        tracing.trace_action(one, ActionReport("gpu", one.id, 102.0, status, one.desired), ())
    assert tracing.flush(5.0)
    tracing.close()
    assert sink.spans["provider.scale"].get("poolwright.drain") == named
    assert "poolwright.drain" not in sink.spans["poolwright.confirm"]

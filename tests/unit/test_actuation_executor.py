import asyncio
import logging
from collections.abc import Callable, Sequence

import pytest

from poolwright.actuation.executor import Executor
from poolwright.actuation.provider import (
    Conflict,
    Finding,
    Gone,
    NoCapacity,
    Throttled,
    Unauthorised,
    Unreachable,
)
from poolwright.clock import ScaledClock
from poolwright.model.decision import Decision, Outcome, PoolInputs, Reason, ReplicaLoad
from poolwright.model.pool import ActionReport, Attempt, PoolReport
from poolwright.model.tick import Health
from poolwright.settings import Settings


class Target:
    """A pool that fails as told: each call takes the next fault of its list."""

    def __init__(self, desired: int = 2) -> None:
        self.desired = desired
        self.ready = desired
        self.set_faults: list[BaseException | str] = []
        self.calls: list[tuple[int, str]] = []
        self.drained: list[tuple[str, ...]] = []
        self.hang_read = False
        self.reads = 0
        self.read_faults: list[BaseException] = []
        self.slow = False
        """What is ordered does not get ready."""
        self.short = ""

    async def read(self) -> PoolReport:
        self.reads += 1
        if self.hang_read:
            await asyncio.Event().wait()
        if self.read_faults:
            raise self.read_faults.pop(0)
        return PoolReport("p", 0.0, self.desired, self.ready, short=self.short)

    async def set_replicas(self, count: int, *, key: str, drain: Sequence[str] = ()) -> None:
        self.calls.append((count, key))
        self.drained.append(tuple(drain))
        fault = self.set_faults.pop(0) if self.set_faults else None
        if fault == "lost":
            self.desired = self.ready = count
            raise Unreachable("reply lost")
        if isinstance(fault, BaseException):
            raise fault
        self.desired = count
        if not self.slow:
            self.ready = count

    async def inspect(self) -> Sequence[Finding]:
        return ()

    async def close(self) -> None: ...


def decision(
    current: int = 2,
    desired: int = 4,
    id_: str = "d1",
    pool: str = "p",
    drain: tuple[str, ...] = (),
) -> Decision:
    loads = tuple(ReplicaLoad(name, 0.0, 0.0, 0.0, None) for name in drain)
    inputs = PoolInputs(0.0, "r", "s", pool, None, (), Health(), least_loaded=loads)
    up = Outcome.SCALE_UP if desired > current else Outcome.SCALE_DOWN
    return Decision(
        id_, 0.0, "s", pool, current, desired, up, Reason.PROPOSED, (), (), {}, "r", inputs, b""
    )


class Heard:
    def __init__(self) -> None:
        self.reports: list[ActionReport] = []
        self.attempts: list[Attempt] = []

    async def __call__(self, report: ActionReport, attempts: Sequence[Attempt]) -> None:
        self.reports.append(report)
        self.attempts = list(attempts)

    def of(self, id_: str = "d1") -> list[str]:
        return [
            r.status.value + (f":{r.cause}" if r.cause else "")
            for r in self.reports
            if r.decision_id == id_
        ]


async def act(
    target: Target,
    *decisions: Decision,
    may_act: Callable[[Decision], str | None] = lambda _: None,
) -> Heard:
    heard = Heard()
    clock = ScaledClock(speed=200.0, origin_wall=0.0, origin_event=0.0)
    executor = Executor({"p": target}, clock, Settings(), heard, may_act)
    for one in decisions:
        executor.submit(one)
    task = executor._lanes["p"].task
    assert task is not None
    await asyncio.wait_for(task, 20)
    await executor.stop(1.0)
    return heard


async def test_a_decision_is_ordered_once_and_confirmed_with_its_startup_time():
    target = Target()
    heard = await act(target, decision())
    assert heard.of() == ["started", "done", "confirmed"]
    assert target.calls == [(4, "d1")]
    assert heard.reports[-1].startup_s is not None


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        (NoCapacity("no"), "refused:no_capacity"),
        (Gone("no"), "refused:gone"),
        (Unauthorised("no"), "refused:unauthorised"),
    ],
)
async def test_a_plain_no_is_not_retried(fault: BaseException, end: str):
    target = Target()
    target.set_faults = [fault]
    assert (await act(target, decision())).of() == ["started", end]
    assert len(target.calls) == 1


async def test_passing_faults_are_retried():
    target = Target()
    target.set_faults = [Conflict("c"), Throttled("t", retry_after_s=2.0), ValueError("bug")]
    heard = await act(target, decision())
    assert heard.of() == ["started", "done", "confirmed"]
    kinds = [a.error for a in heard.attempts if a.error]
    assert kinds == ["conflict", "throttled", "unreachable"]


async def test_a_lost_reply_is_read_back_instead_of_doubled():
    target = Target()
    target.set_faults = ["lost"]
    assert (await act(target, decision())).of()[1] == "done"
    assert len(target.calls) == 1


async def test_a_count_changed_by_somebody_else_is_left_alone():
    target = Target(desired=7)
    assert (await act(target, decision())).of() == ["started", "refused:changed_outside"]
    assert target.calls == []


async def test_a_decision_that_may_not_act_makes_no_call():
    target = Target()
    heard = await act(target, decision(), may_act=lambda _: "not_owned")
    assert heard.of() == ["started", "refused:not_owned"]
    assert target.calls == []


async def test_who_goes_first_is_said_with_every_attempt():
    target = Target(desired=4)
    target.set_faults = [Throttled("t", retry_after_s=2.0)]
    heard = await act(target, decision(4, 2, drain=("r7", "r3")))
    assert heard.of() == ["started", "done", "confirmed"]
    assert target.drained == [("r7", "r3")] * 2


async def test_a_newer_decision_supersedes_an_unsent_one():
    target = Target()
    heard = await act(target, decision(), decision(4, 6, "d2"))
    assert heard.of("d1") == ["refused:superseded"]
    assert heard.of("d2") == ["started", "done", "confirmed"]
    assert target.calls == [(6, "d2")]


async def test_a_target_that_keeps_failing_opens_its_circuit():
    target = Target()
    target.set_faults = [Unreachable("down") for _ in range(9)]
    heard = await act(target, decision())
    assert heard.of() == ["started", "given_up:unreachable"]
    assert len(target.calls) <= 5


async def test_a_hanging_provider_delays_no_other_pool(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("poolwright.actuation.calls.CALL_TIMEOUT_REAL_FLOOR_S", 0.1)
    stuck, well, heard = Target(), Target(), Heard()
    stuck.hang_read = True
    clock = ScaledClock(speed=200.0, origin_wall=0.0, origin_event=0.0)
    executor = Executor({"q": stuck, "p": well}, clock, Settings(), heard, lambda _: None)
    executor.submit(decision(id_="stuck", pool="q"))
    executor.submit(decision())
    assert [r.desired for r in await executor.poll_reports()] == [4]
    assert executor.failed_reads == {("q", "unreachable"): 1}
    await executor.stop(5.0)
    assert heard.of() == ["started", "done", "confirmed"]
    assert heard.of("stuck")[-1].startswith(("given_up", "refused"))


async def test_a_read_that_hangs_holds_no_report_back_and_is_not_asked_twice(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("poolwright.actuation.executor.PATIENCE_REAL_S", 0.02)
    stuck, well = Target(), Target(desired=3)
    stuck.hang_read = True
    clock = ScaledClock(speed=200.0, origin_wall=0.0, origin_event=0.0)
    executor = Executor({"q": stuck, "p": well}, clock, Settings(), Heard(), lambda _: None)
    for _ in range(2):
        assert [report.desired for report in await executor.poll_reports()] == [3]
    assert not executor.failed_reads
    assert list(executor._reading) == ["q"]
    await executor.stop(1.0)
    assert executor._reading["q"].cancelled()


async def test_what_a_target_says_of_patience_holds_for_the_next_action_and_for_reads():
    """An API that asks for an hour is not asked again in five seconds by a newer decision."""
    target, heard = Target(), Heard()
    target.set_faults = [Throttled("later", retry_after_s=3600.0)]
    clock = ScaledClock(speed=200.0, origin_wall=0.0, origin_event=0.0)
    executor = Executor({"p": target}, clock, Settings(), heard, lambda _: None)
    lane = executor._lanes["p"]
    executor.submit(decision())
    await asyncio.wait_for(lane.task, 20)
    assert heard.of() == ["started", "given_up:throttled"], "longer than an action may take"
    asked = target.reads
    executor.submit(decision(id_="d2"))
    await asyncio.wait_for(lane.task, 20)
    assert heard.of("d2") == ["started", "given_up:throttled"]
    assert await executor.poll_reports() == []
    assert (len(target.calls), target.reads) == (1, asked), "it was left alone"
    lane.patience_until = clock.monotonic()
    executor.submit(decision(id_="d3"))
    await asyncio.wait_for(lane.task, 20)
    assert heard.of("d3") == ["started", "done", "confirmed"]
    await executor.stop(1.0)


async def test_a_throttled_read_is_patient_too():
    target = Target()
    target.read_faults = [Throttled("later", retry_after_s=3600.0)]
    clock = ScaledClock(speed=200.0, origin_wall=0.0, origin_event=0.0)
    executor = Executor({"p": target}, clock, Settings(), Heard(), lambda _: None)
    for _ in range(3):
        assert await executor.poll_reports() == []
    assert target.reads == 1
    assert executor.failed_reads == {("p", "throttled"): 1}
    await executor.stop(1.0)


async def test_an_order_whose_replicas_will_not_come_ends_when_the_provider_says_so():
    target = Target()
    target.slow, target.short = True, "We currently do not have sufficient p5.48xlarge capacity"
    heard = await act(target, decision())
    assert heard.of() == ["started", "done", "given_up:no_capacity"]
    assert target.desired == 4, "the order stands"


async def test_a_reduction_is_not_given_up_for_want_of_capacity():
    target = Target(desired=6)
    target.short = "no capacity"
    heard = await act(target, decision(6, 4))
    assert heard.of() == ["started", "done", "confirmed"]


@pytest.mark.parametrize("fault", [Gone("deleted"), Unauthorised("expired")])
async def test_a_target_that_is_gone_or_locked_ends_the_action_before_any_call(fault):
    target = Target()
    target.read_faults = [fault]
    heard = await act(target, decision())
    assert heard.of() == ["started", f"refused:{fault.kind}"]
    assert target.calls == []
    heard = await act(target, decision(id_="d2"))
    assert heard.of("d2") == ["started", "done", "confirmed"], "it came back"


async def test_a_part_that_was_granted_is_an_end_and_no_retry():
    target = Target()
    target.set_faults = [NoCapacity("3 of 4", granted=3)]
    heard = await act(target, decision())
    assert heard.of() == ["started", "refused:no_capacity"]
    assert "3 of 4" in heard.attempts[-1].detail


async def test_a_target_that_cannot_be_read_is_told_once_and_again_when_it_fails_otherwise(caplog):
    target = Target()
    down = [Unreachable("down") for _ in range(3)]
    target.read_faults = [*down, Gone("deleted"), Gone("deleted")]
    clock = ScaledClock(speed=200.0, origin_wall=0.0, origin_event=0.0)
    executor = Executor({"p": target}, clock, Settings(), Heard(), lambda _: None)
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            await executor.poll_reports()
        assert str(executor.unread["p"]) == "deleted"
        for _ in range(2):
            await executor.poll_reports()
    assert executor.unread == {}
    assert caplog.messages == [
        "pool p cannot be read (unreachable): down",
        "pool p cannot be read (gone): deleted",
        "pool p can be read again",
    ]
    assert executor.failed_reads == {("p", "unreachable"): 3, ("p", "gone"): 2}
    await executor.stop(1.0)

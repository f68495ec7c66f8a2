"""Whatever fails, an action ends, calls never overlap, and a fenced decision changes nothing."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

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
from poolwright.model.decision import Decision, Outcome, PoolInputs, Reason
from poolwright.model.pool import ActionReport, ActionStatus, Attempt, PoolReport
from poolwright.model.tick import Health
from poolwright.settings import Settings

FAULTS = {
    "no_capacity": NoCapacity,
    "gone": Gone,
    "conflict": Conflict,
    "throttled": Throttled,
    "unauthorised": Unauthorised,
    "unreachable": Unreachable,
    "bug": RuntimeError,
}


class Target:
    def __init__(self, reads: list[str], writes: list[str]) -> None:
        self.desired = 2
        self.reads, self.writes = reads, writes
        self.running = self.most_running = 0
        self.obeyed: list[str] = []
        self.calls = 0

    async def read(self) -> PoolReport:
        await asyncio.sleep(0)
        fault = self.reads.pop(0) if self.reads else "ok"
        if fault in FAULTS:
            raise FAULTS[fault](fault)
        return PoolReport("p", 0.0, self.desired, self.desired)

    async def set_replicas(self, count: int, *, key: str, drain: Sequence[str] = ()) -> None:
        self.calls += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        fault = self.writes.pop(0) if self.writes else "ok"
        if fault in FAULTS:
            raise FAULTS[fault](fault)
        self.desired = count
        self.obeyed.append(key)
        if fault == "lost":
            raise Unreachable("reply lost")

    async def inspect(self) -> Sequence[Finding]:
        return ()

    async def close(self) -> None: ...


def decision(number: int, desired: int) -> Decision:
    inputs = PoolInputs(0.0, "r", "s", "p", None, (), Health())
    return Decision(
        f"d{number}", 0.0, "s", "p", 2, desired, Outcome.SCALE_UP, Reason.PROPOSED,
        (), (), {}, "r", inputs, b"",
    )  # fmt: skip


faults = st.lists(st.sampled_from(["ok", "lost", *FAULTS]), max_size=4)


@settings(max_examples=25, deadline=None)
@given(faults, faults, st.lists(st.integers(3, 9), min_size=1, max_size=3), st.booleans())
def test_every_action_ends(reads, writes, wishes, fenced):
    async def run() -> None:
        heard: dict[str, list[ActionStatus]] = {}

        async def on_report(report: ActionReport, attempts: Sequence[Attempt]) -> None:
            heard.setdefault(report.decision_id, []).append(report.status)

        target = Target(list(reads), list(writes))
        clock = ScaledClock(speed=1000.0, origin_wall=0.0, origin_event=0.0)
        executor = Executor(
            {"p": target}, clock, Settings(), on_report, lambda _: "paused" if fenced else None
        )
        for number, desired in enumerate(wishes):
            executor.submit(decision(number, desired))
            await asyncio.sleep(0)
        await executor.stop(5.0) if fenced else await asyncio.wait_for(
            executor._lanes["p"].task, 20
        )
        assert set(heard) == {f"d{n}" for n in range(len(wishes))}
        ends = {ActionStatus.REFUSED, ActionStatus.GIVEN_UP, ActionStatus.CONFIRMED}
        for statuses in heard.values():
            assert statuses[-1] in ends
            assert sum(s in ends for s in statuses) == 1
        assert target.most_running <= 1
        assert len(target.obeyed) == len(set(target.obeyed))
        if fenced:
            assert target.calls == 0

    asyncio.run(run())

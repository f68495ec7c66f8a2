"""Carries decisions out: one action at a time per pool, each with a certain end.

An action is STARTED, then DONE, REFUSED or GIVEN_UP; a DONE one is then CONFIRMED or GIVEN_UP.
Absolute counts, a recheck just before each call and a read-back after each lost reply are what
keep a retry, a second daemon or a person with kubectl from being overrun (promises 4 and 6).
Each pool has its own task, deadline and circuit, so that a stuck target delays no other.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Final, TypeVar

import tenacity

from poolwright.actuation.calls import bounded, call_timeout_real_s
from poolwright.actuation.lane import Action, Lane
from poolwright.actuation.provider import CallError, Provider, Throttled, Unreachable
from poolwright.clock import Clock
from poolwright.model.decision import Decision
from poolwright.model.pool import ActionReport, ActionStatus, Attempt, PoolReport
from poolwright.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

OnReport = Callable[[ActionReport, Sequence[Attempt]], Awaitable[None]]
MayAct = Callable[[Decision], str | None]

CONFIRM_POLLS: Final = 2
"""Reads of a pool whose order is to be confirmed, in an interval of reports."""
PATIENCE_REAL_S: Final = 1.0
"""How long the reports of all pools wait for the slowest of them."""
POLL_REAL_FLOOR_S: Final = 0.02
"""A sped-up clock must not turn polling into a busy loop."""


class _EndedError(Exception):
    """The order is not sent (again): `cause` says why."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Executor:
    """Submit decisions; hear how they end through `on_report`."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        clock: Clock,
        settings: Settings,
        on_report: OnReport,
        may_act: MayAct,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._on_report = on_report
        self._may_act = may_act
        self._lanes = {pool: Lane(provider) for pool, provider in providers.items()}
        self._closing: set[asyncio.Task[None]] = set()
        self._reading: dict[str, asyncio.Task[PoolReport | None]] = {}
        """Reads under way, by pool."""
        self._stopping = False
        self.failed_reads: Counter[tuple[str, str]] = Counter()
        """Reports that could not be had, by pool and error kind."""
        self.unread: dict[str, CallError] = {}
        """Of the pools whose last read failed, what came of it."""

    # --- what the daemon calls -------------------------------------------------------------

    def submit(self, decision: Decision) -> None:
        """Carry the decision out; it supersedes an unsent one of its pool."""
        lane = self._lanes.get(decision.pool)
        if lane is None or self._stopping:
            cause = "stopping" if self._stopping else "rules_gone"
            self._spawn(self._report(decision, ActionStatus.REFUSED, (), cause))
            return
        lane.waiting.append(decision)
        lane.interrupt.set()
        if lane.task is None or lane.task.done():
            lane.task = asyncio.create_task(self._work(lane), name=f"actions of {decision.pool}")

    async def poll_reports(self) -> list[PoolReport]:
        """What providers say now. Pools that cannot be read are left out and counted.

        One that hangs delays no other: its answer is among those of a later call.
        """
        for pool, lane in self._lanes.items():
            if pool not in self._reading:
                self._reading[pool] = asyncio.create_task(self._read(pool, lane))
        if self._reading:
            await asyncio.wait(self._reading.values(), timeout=PATIENCE_REAL_S)
        ended = {pool: task for pool, task in self._reading.items() if task.done()}
        for pool in ended:
            del self._reading[pool]
        reports = [task.result() for task in ended.values()]
        return [report for report in reports if report is not None]

    async def _read(self, pool: str, lane: Lane) -> PoolReport | None:
        if lane.patience_left_s(self._clock.monotonic()):
            return None
        try:
            report = await self._ask(lane, lane.provider)
        except CallError as error:
            self.failed_reads[pool, error.kind] += 1
            before = self.unread.get(pool)
            if before is None or before.kind != error.kind:
                # Told once, not at each report: `status` has it as long as it lasts.
                log.warning("pool %s cannot be read (%s): %s", pool, error.kind, error)
            self.unread[pool] = error
            return None
        if self.unread.pop(pool, None) is not None:
            log.info("pool %s can be read again", pool)
        return report

    def use_providers(self, providers: Mapping[str, Provider]) -> None:
        """New rules: running actions end with their old provider, which is then closed."""
        for pool in set(self._lanes) | set(providers):
            old = self._lanes.get(pool)
            new = providers.get(pool)
            if old is not None and old.provider is not new:
                self._spawn(self._close(old.provider, after=old.task))
            self.unread.pop(pool, None)
            if new is None:
                del self._lanes[pool]
            elif old is None:
                self._lanes[pool] = Lane(new)
            else:
                old.provider = new

    async def stop(self, deadline: float) -> None:
        """End every action within `deadline` real seconds and close the providers."""
        self._stopping = True
        for lane in self._lanes.values():
            lane.interrupt.set()
        for reading in self._reading.values():
            reading.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=deadline)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for lane in self._lanes.values():
            if lane.action is not None:
                action, lane.action = lane.action, None
                await self._end(action, ActionStatus.GIVEN_UP, "stopping")
        await asyncio.gather(*(self._close(lane.provider) for lane in self._lanes.values()))
        await asyncio.gather(*self._closing)

    # --- one pool --------------------------------------------------------------------------

    async def _work(self, lane: Lane) -> None:
        carried: frozenset[int] = frozenset()
        while lane.waiting:
            batch, lane.waiting = lane.waiting, []
            if not self._stopping:
                lane.interrupt.clear()
            expected = carried | {decision.current for decision in batch}
            for older in batch[:-1]:
                await self._report(older, ActionStatus.REFUSED, (), "superseded")
            action = Action(batch[-1], expected, lane.provider)
            lane.action = action
            await self._carry_out(lane, action)
            lane.action = None
            # A decision made on top of one that was never sent meets the count from before it.
            carried = frozenset() if action.ordered_at is not None else expected

    async def _carry_out(self, lane: Lane, action: Action) -> None:
        await self._end(action, ActionStatus.STARTED)
        limit = call_timeout_real_s(self._clock)
        deadline_real_s = max(self._clock.real_seconds(self._settings.action_deadline_s), limit)
        try:
            async with asyncio.timeout(deadline_real_s):
                await self._order(lane, action, deadline_real_s)
        except _EndedError as ended:
            await self._end(action, ActionStatus.REFUSED, ended.cause)
        except CallError as error:
            status = ActionStatus.GIVEN_UP if error.retried else ActionStatus.REFUSED
            await self._end(action, status, error.kind)
        except TimeoutError:
            await self._end(action, ActionStatus.GIVEN_UP, "deadline")
        else:
            await self._end(action, ActionStatus.DONE)
            await self._confirm(lane, action)

    async def _order(self, lane: Lane, action: Action, deadline_real_s: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + deadline_real_s
        jitter = tenacity.wait_random_exponential(multiplier=0.5, max=8)

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after_s if isinstance(error, Throttled) else None
            return self._clock.real_seconds(max(asked or 0.0, jitter(state)))

        def give_up(state: tenacity.RetryCallState) -> bool:
            return (
                lane.circuit.is_open(self._clock.monotonic())
                or loop.time() + state.upcoming_sleep >= deadline
            )

        async def sleep(seconds: float) -> None:
            real_s = max(seconds, POLL_REAL_FLOOR_S)
            if action.ordered_at is None:
                await self._pause(lane, real_s)
            else:
                await asyncio.sleep(real_s)

        def again(error: BaseException) -> bool:
            return isinstance(error, CallError) and error.retried

        retrying = tenacity.AsyncRetrying(
            wait=wait,
            stop=give_up,
            sleep=sleep,
            retry=tenacity.retry_if_exception(again),
            reraise=True,
        )
        await retrying(self._attempt, lane, action)

    async def _attempt(self, lane: Lane, action: Action) -> None:
        """Recheck, and call if it is still called for."""
        decision = action.decision
        now = self._clock.monotonic()
        if lane.circuit.is_open(now):
            raise _EndedError("circuit_open")
        if left_s := lane.patience_left_s(now):
            raise Throttled("the API asked to be left alone", retry_after_s=left_s)
        if await self._recheck(lane, action):
            return
        # Between the read and the call nothing is awaited: these answers hold for the call.
        if lane.waiting and action.ordered_at is None:
            raise _EndedError("superseded")
        if self._stopping:
            raise _EndedError("stopping")
        if (why := self._may_act(decision)) is not None:
            raise _EndedError(why)
        action.ordered_at = action.ordered_at or self._clock.now()
        await self._called(
            lane,
            action,
            action.provider.set_replicas(decision.desired, key=decision.id, drain=decision.drain),
            "set_replicas",
        )

    async def _recheck(self, lane: Lane, action: Action) -> bool:
        """True when the target has the count already, by a lost reply or by somebody else."""
        decision = action.decision
        report = await self._called(lane, action, action.provider.read(), "read")
        if report.desired == decision.desired:
            return True
        if report.desired not in action.expected:
            raise _EndedError("changed_outside")
        return False

    async def _called(self, lane: Lane, action: Action, call: Awaitable[T], operation: str) -> T:
        """One call as an attempt of the action; the circuit learns from it."""
        started_at = self._clock.now()
        # Stays so where the deadline cancels the call: nobody knows what the target did.
        kind, detail = Unreachable.kind, f"{operation}: cut off"
        trips = True
        try:
            result = await bounded(call, call_timeout_real_s(self._clock))
        except CallError as error:
            kind, detail, trips = error.kind, f"{operation}: {error}", error.trips
            lane.heed(error, self._clock.monotonic())
            raise
        else:
            kind, detail, trips = "", operation, False
            return result
        finally:
            if trips:
                lane.circuit.failed(self._clock.monotonic())
            elif operation == "set_replicas":
                # A target that can be read but not written is as stuck as a silent one.
                lane.circuit.answered()
            action.attempts.append(Attempt(started_at, self._clock.now(), kind, detail))

    async def _pause(self, lane: Lane, real_s: float) -> None:
        """Wait, unless something newer makes waiting pointless."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(real_s):
                await lane.interrupt.wait()

    # --- confirmation ----------------------------------------------------------------------

    async def _confirm(self, lane: Lane, action: Action) -> None:
        loop = asyncio.get_running_loop()
        poll_s = self._settings.report_interval_s / CONFIRM_POLLS
        poll = max(self._clock.real_seconds(poll_s), POLL_REAL_FLOOR_S)
        deadline = loop.time() + self._clock.real_seconds(self._settings.confirm_timeout_s)
        while True:
            # Failures to read are waited out: the order has been accepted.
            report = await self._read_patiently(lane, action.provider)
            if report is not None and _settled(report, action.decision):
                await self._end(action, ActionStatus.CONFIRMED)
                return
            if report is not None and report.short and report.ready < action.decision.desired:
                # The order stands; that its replicas do not come is known before the time is up.
                await self._end(action, ActionStatus.GIVEN_UP, "no_capacity")
                return
            if lane.interrupt.is_set():
                cause = "stopping" if self._stopping else "superseded"
                await self._end(action, ActionStatus.GIVEN_UP, cause)
                return
            if loop.time() >= deadline:
                await self._end(action, ActionStatus.GIVEN_UP, "not_ready_in_time")
                return
            await self._pause(lane, poll)

    async def _read_patiently(self, lane: Lane, provider: Provider) -> PoolReport | None:
        if lane.patience_left_s(self._clock.monotonic()):
            return None
        with contextlib.suppress(CallError):
            return await self._ask(lane, provider)
        return None

    async def _ask(self, lane: Lane, provider: Provider) -> PoolReport:
        """A read that is no attempt of an action: the circuit does not learn from it."""
        try:
            return await bounded(provider.read(), call_timeout_real_s(self._clock))
        except CallError as error:
            lane.heed(error, self._clock.monotonic())
            raise

    # --- telling ---------------------------------------------------------------------------

    async def _end(self, action: Action, status: ActionStatus, cause: str = "") -> None:
        startup_s = None
        grew = action.decision.desired > action.decision.current
        if status is ActionStatus.CONFIRMED and grew and action.ordered_at is not None:
            startup_s = self._clock.now() - action.ordered_at
        await self._report(action.decision, status, tuple(action.attempts), cause, startup_s)

    async def _report(
        self,
        decision: Decision,
        status: ActionStatus,
        attempts: Sequence[Attempt],
        cause: str = "",
        startup_s: float | None = None,
    ) -> None:
        report = ActionReport(
            decision.pool,
            decision.id,
            self._clock.now(),
            status,
            decision.desired,
            cause,
            startup_s,
        )
        try:
            await self._on_report(report, attempts)
        except Exception:
            # The action goes on to its end: half an order would be worse than a gap in the record.
            log.exception("the action of %s became %s, not recorded", decision.id, status)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, provider: Provider, after: asyncio.Task[None] | None = None) -> None:
        if after is not None:
            await asyncio.wait([after])
        with contextlib.suppress(CallError):
            await bounded(provider.close(), call_timeout_real_s(self._clock))


def _settled(report: PoolReport, decision: Decision) -> bool:
    if decision.desired > decision.current:
        return report.ready >= decision.desired
    return report.ready <= decision.desired and report.terminating == 0

"""The live daemon: Kafka in, the pure core, providers and records out.

One asyncio loop. A tick takes what was consumed since the last one, steps the core, makes the
decisions durable in the journal, and only then hands them to the executor (promise 3). Offsets
are committed after the checkpoint that holds what they caused (promise 7). While the journal
cannot be written the daemon waits: it takes nothing, decides nothing and starts no action.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry

from poolwright import history
from poolwright.actuation.calls import Observed
from poolwright.actuation.executor import Executor
from poolwright.actuation.provider import Provider
from poolwright.actuation.registry import make_providers
from poolwright.clock import Clock
from poolwright.decision import dump_state, step
from poolwright.messaging.connection import connection_options
from poolwright.messaging.outbox import Outbox
from poolwright.model.decision import Decision
from poolwright.model.pool import ActionReport, ActionStatus, Attempt, PoolReport
from poolwright.model.rule import Mode, RuleSet
from poolwright.model.tick import Health, Tick
from poolwright.record.absence import Absent
from poolwright.record.action_traces import ActionTraces
from poolwright.record.decision_topic import decision_message
from poolwright.record.http import HealthReport, health_app
from poolwright.record.journal import Journal
from poolwright.record.metrics import DaemonMetrics
from poolwright.record.recorder import Recorder
from poolwright.record.retention import forget_old
from poolwright.record.traces import Tracing
from poolwright.runtime import checkpoints, notify
from poolwright.runtime.rules_in_force import RulesInForce
from poolwright.runtime.status import pools_body, source_body
from poolwright.runtime.telling import Told
from poolwright.runtime.web import WebServer
from poolwright.settings import Settings
from poolwright.telemetry.source import Fetched, KafkaSource

log = logging.getLogger("poolwright")

SHUTDOWN_S = 10.0
"""One deadline for everything that a shutdown does, in real seconds."""
PRUNE_EVERY_S = 3600.0


def _services(rules: RuleSet) -> frozenset[str]:
    return frozenset(service.service for service in rules.services)


class Daemon:
    """Owns every part and its life; `run` returns after a clean stop."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.metrics = DaemonMetrics(CollectorRegistry())
        self.in_force = RulesInForce(settings, self.metrics, self._adopt)
        self.journal = Journal(settings.data / "journal.db")
        self.recorder = Recorder()
        self.tracing = Tracing(settings.tracing, self.journal)
        self.action_traces = ActionTraces(self.tracing, self.journal, self.recorder)
        self.metrics.recording(self.recorder, self.tracing)
        self.state, self._offsets = checkpoints.restore(self.journal)
        self._told = Told()
        self._absent = Absent()
        self._absent.recall(self.journal, (p.name for s in self.rules.services for p in s.pools))
        self.source = self._make_source()
        self.topic = Outbox(settings.kafka.decisions_topic, connection_options(settings.kafka))
        self.executor: Executor = self._make_executor()
        self._reports: list[PoolReport] = []
        self._actions: list[ActionReport] = []
        self._held: Sequence[Decision] = ()
        """Decisions that the journal would not take: not acted on."""
        self._stepping = asyncio.Lock()
        """From a step to its record: no checkpoint may hold what the journal lacks."""
        self._stopping = asyncio.Event()
        self._last_tick_at: float | None = None
        self._taken: checkpoints.Offsets = dict(self._offsets)

    # --- parts -----------------------------------------------------------------------------

    @property
    def rules(self) -> RuleSet:
        return self.in_force.rules

    def _make_source(self) -> KafkaSource:
        source = KafkaSource(
            self.settings.kafka, self.clock, self.state.names, _services(self.rules)
        )
        source.resume_from(self._offsets)
        source.on_revoked = self._checkpoint
        return source

    def _make_providers(self, rules: RuleSet) -> Mapping[str, Provider]:
        pools = [pool for service in rules.services for pool in service.pools]
        return {
            pool: Observed(provider, self.clock, self.metrics.called)
            for pool, provider in make_providers(pools, self.settings).items()
        }

    def _make_executor(self) -> Executor:
        return Executor(
            self._make_providers(self.rules),
            self.clock,
            self.settings,
            on_report=self._on_action,
            may_act=self._may_act,
        )

    # --- life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Runs until SIGTERM or SIGINT, then stops cleanly within one deadline."""
        self._catch_signals()
        await self._end_open_actions()
        web = WebServer(
            health_app(self.metrics, self._health_report, self.status),
            self.settings.http_host,
            self.settings.http_port,
        )
        await web.start()
        notify.status("joining Kafka")
        await self.source.start()
        await self.topic.start()
        loops = [
            asyncio.create_task(self._tick_loop(), name="ticks"),
            asyncio.create_task(self._report_loop(), name="reports"),
            asyncio.create_task(self._checkpoint_loop(), name="checkpoints"),
            asyncio.create_task(self._prune_loop(), name="retention"),
            asyncio.create_task(self.in_force.watch(), name="rules"),
            asyncio.create_task(self.in_force.answer(), name="reload"),
            asyncio.create_task(self._watchdog_loop(), name="watchdog"),
            asyncio.create_task(history.keep_warm(self), name="history"),
        ]
        notify.ready()
        log.info("ready: %d services, revision %s", len(self.rules.services), self.rules.revision)
        self.in_force.warn()
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait({*loops, stopping}, return_when="FIRST_COMPLETED")
            for task in done - {stopping}:
                task.result()
        finally:
            notify.stopping()
            for task in (*loops, stopping):
                task.cancel()
            await asyncio.gather(*loops, stopping, return_exceptions=True)
            await self._shut_down(web)

    async def _shut_down(self, web: WebServer) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_S):
                await self.executor.stop(SHUTDOWN_S / 2)
                await self._checkpoint()
                await self.source.stop()
                await self.topic.stop()
                await asyncio.to_thread(self.tracing.flush, SHUTDOWN_S / 4)
                await web.stop()
        await asyncio.to_thread(self.tracing.close)
        if dropped := self.tracing.dropped:
            log.warning("%d spans dropped; `poolwright traces rebuild` sends them again", dropped)
        self.recorder.close()
        self.journal.close()

    def stop(self) -> None:
        self._stopping.set()

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self.in_force.ask)

    async def _end_open_actions(self) -> None:
        """Actions that a crash cut off end as given up; the next report tells the rest."""
        now = self.clock.now()
        for action in await self.recorder.run(self.journal.open_actions):
            report = ActionReport(
                action.pool,
                action.decision_id,
                now,
                ActionStatus.GIVEN_UP,
                action.desired,
                "daemon_restarted",
            )
            await self._on_action(report, ())

    # --- the loops -------------------------------------------------------------------------

    async def _tick_loop(self) -> None:
        while True:
            await self.tick()
            await asyncio.sleep(self.clock.real_seconds(self.settings.tick_interval_s))

    async def tick(self) -> Sequence[Decision]:
        """One tick: take, step, make durable, act."""
        if not await self.recorder.retry():
            self._last_tick_at = self.clock.now()
            return ()
        await self._release_held()
        fetched: Fetched | None = await self.source.take()
        now = self.clock.now()
        reports, self._reports = self._reports, []
        actions, self._actions = self._actions, []
        tick = Tick(
            at=now,
            rules=self.rules,
            samples=() if fetched is None else fetched.batches,
            pools=tuple(reports),
            actions=tuple(actions),
            health=Health(self.source.behind(), self.in_force.error is not None),
            owned=frozenset(s for s in _services(self.rules) if self.source.owns(s)),
        )
        async with self._stepping:
            with self.metrics.decide_seconds.time():
                self.state, decisions = step(self.state, tick)
            if fetched is not None:
                self._taken.update(fetched.offsets)
                self.metrics.ingested(fetched.samples, fetched.dead)
            write = partial(self.journal.record_tick, now, decisions, self.rules)
            if decisions and not await self.recorder.write(write):
                self._held = decisions
        for decision in () if self._held else decisions:
            self._record(decision)
            if decision.acts:
                self.action_traces.begin(decision)
                self.executor.submit(decision)
        self._last_tick_at = now
        self.metrics.ticked(
            checks=self.state.checks,
            late=self.state.store.late,
            pools=self.state.reports,
            age_s=self.source.telemetry_age_s(),
            lag=checkpoints.named(self.source.lag()),
            dead_letters_dropped=self.source.dead_letters.dropped,
        )
        return decisions

    async def _release_held(self) -> None:
        """What the journal took late is told now, and left undone: the world has moved on."""
        held, self._held = self._held, ()
        for decision in held:
            self._record(decision)
            if decision.acts:
                self.action_traces.begin(decision)
                report = ActionReport(
                    decision.pool,
                    decision.id,
                    self.clock.now(),
                    ActionStatus.REFUSED,
                    decision.desired,
                    "not_recorded",
                )
                await self._on_action(report, ())

    def _record(self, decision: Decision) -> None:
        self.tracing.trace_decision(decision)
        self.metrics.decided(decision)
        self._absent.note(decision)
        self.topic.put(decision_message(decision))
        self._told.decided(decision)

    async def _report_loop(self) -> None:
        while True:
            self._reports.extend(await self.executor.poll_reports())
            await asyncio.sleep(self.clock.real_seconds(self.settings.report_interval_s))

    async def _checkpoint_loop(self) -> None:
        while True:
            await asyncio.sleep(self.clock.real_seconds(self.settings.checkpoint_interval_s))
            await self._checkpoint()

    async def _checkpoint(self) -> None:
        async with self._stepping:
            if not await self.recorder.retry():
                return
            offsets = dict(self._taken)
            state = dump_state(self.state)
            keyed = checkpoints.named(offsets)
            saved = await self.recorder.attempt(
                partial(self.journal.save_checkpoint, self.clock.now(), keyed, state)
            )
        if saved and offsets:
            await self.source.commit(offsets)

    async def _prune_loop(self) -> None:
        while True:
            now = self.clock.now()
            await forget_old(self.recorder, self.journal, self.settings.journal, now)
            await asyncio.sleep(self.clock.real_seconds(PRUNE_EVERY_S))

    def _adopt(self, rules: RuleSet) -> None:
        providers = self._make_providers(rules)
        self.source.use_services(_services(rules))
        self.executor.use_providers(providers)

    async def _watchdog_loop(self) -> None:
        interval_s = notify.watchdog_interval_s()
        while interval_s is not None:
            if self._health_report().alive:
                notify.watchdog()
            await asyncio.sleep(interval_s)
        await asyncio.Event().wait()

    # --- what others ask -------------------------------------------------------------------

    async def _on_action(self, report: ActionReport, attempts: Sequence[Attempt]) -> None:
        await self.recorder.write(partial(self.journal.record_action, report, attempts))
        # The core hears of it in any case: an order in flight that never ends would hold the pool.
        self._actions.append(report)
        self.metrics.acted(report)
        await self.action_traces.reached(report, attempts)

    def _may_act(self, decision: Decision) -> str | None:
        """Why the decision must not be carried out any more, or None."""
        if self.recorder.error is not None:
            return "not_recorded"
        if not (self.source.owns(decision.service) and self.source.in_group()):
            return "not_owned"
        for service in self.rules.services:
            if service.service == decision.service:
                return None if service.mode is Mode.ACT else f"mode_{service.mode}"
        return "rules_gone"

    def _health_report(self) -> HealthReport:
        last = self._last_tick_at
        alive = last is None or self.clock.now() - last < 30 * self.settings.tick_interval_s
        ready = last is not None and self.source.in_group()
        return HealthReport(alive=alive, ready=ready, problem=self.recorder.error)

    def status(self) -> dict[str, Any]:
        """What `poolwright status` shows."""
        now = self.clock.now()
        return {
            "at": now,
            "rules_revision": self.rules.revision,
            "reload_error": self.in_force.error,
            "journal_error": self.recorder.error,
            "spans_dropped": self.tracing.dropped,
            **source_body(self.source),
            "pools": pools_body(
                self.rules, self.state, self.source, self._absent, now, self.executor.unread
            ),
        }

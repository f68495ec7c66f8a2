"""Brings what becomes of an action into the trace of its decision, across restarts too."""

import logging
from collections.abc import Sequence
from functools import partial

from poolwright.errors import JournalError
from poolwright.model.decision import Decision
from poolwright.model.pool import ActionReport, ActionStatus, Attempt
from poolwright.record.journal import Journal
from poolwright.record.recorder import Recorder
from poolwright.record.traces import Tracing

log = logging.getLogger(__name__)

ENDED = (ActionStatus.REFUSED, ActionStatus.GIVEN_UP, ActionStatus.CONFIRMED)


class ActionTraces:
    """Knows the decisions whose actions have not ended."""

    def __init__(self, tracing: Tracing, journal: Journal, recorder: Recorder) -> None:
        self._tracing = tracing
        self._journal = journal
        self._recorder = recorder
        self._acting: dict[str, Decision] = {}
        self._done: set[str] = set()
        """Carried out by the provider, and waiting for readiness."""

    def begin(self, decision: Decision) -> None:
        self._acting[decision.id] = decision

    async def reached(self, report: ActionReport, attempts: Sequence[Attempt]) -> None:
        """The action's new status as spans."""
        key = report.decision_id
        decision = self._acting.get(key) or await self._recorded(key)
        if decision is not None:
            self._tracing.trace_action(decision, report, attempts, after_done=key in self._done)
        if report.status is ActionStatus.DONE:
            self._done.add(key)
        elif report.status in ENDED:
            self._done.discard(key)
            self._acting.pop(key, None)

    async def _recorded(self, decision_id: str) -> Decision | None:
        """The decision of an action that an earlier run of the daemon began."""
        try:
            stored = await self._recorder.run(partial(self._journal.decision, decision_id))
            actions = await self._recorder.run(partial(self._journal.actions, decision_id))
        except JournalError as error:
            log.warning("the trace of %s lacks its end: %s", decision_id, error)
            return None
        if any(action.report.status is ActionStatus.DONE for action in actions):
            self._done.add(decision_id)
        return None if stored is None else stored.decision

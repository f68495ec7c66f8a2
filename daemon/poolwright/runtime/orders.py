"""A replay's executor: decisions become orders to the plant, and what became of them is told.

It does on the virtual clock what `actuation.executor` does over HTTP: one action at a time per
pool, retried within the deadline while the API is unreachable, refused when the stock is short,
confirmed when the replicas are ready, and given up after the daemon's default times. So the core
learns the same in a replay as in production. Which replicas a decision names to go first is left
out: the plant drains the least loaded by itself.
"""

from dataclasses import dataclass

from poolwright.model.decision import Decision
from poolwright.model.pool import ActionReport, ActionStatus, PoolReport
from poolwright.settings import ACTION_DEADLINE_S, CONFIRM_TIMEOUT_S
from poolwright.simulation.plant import Plant
from poolwright.simulation.spec import FaultKind


@dataclass(slots=True)
class _Order:
    decision: Decision
    submitted_at: float
    done_at: float | None = None


class Orders:
    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._orders: dict[str, _Order] = {}

    def submit(self, decision: Decision, at: float) -> list[ActionReport]:
        """Takes a decision up; it supersedes the pool's unfinished order."""
        reports = []
        older = self._orders.pop(decision.pool, None)
        if older is not None:
            sent = older.done_at is not None
            status = ActionStatus.GIVEN_UP if sent else ActionStatus.REFUSED
            reports.append(_told(older.decision, at, status, "superseded"))
        self._orders[decision.pool] = _Order(decision, at)
        reports.append(_told(decision, at, ActionStatus.STARTED))
        return reports + self._try(decision.pool, at)

    def advance(self, at: float) -> list[ActionReport]:
        """Tries again what could not be sent, and looks at what has been."""
        reports: list[ActionReport] = []
        for pool in list(self._orders):
            reports += self._try(pool, at)
        return reports

    def read(self, pool: str, at: float) -> PoolReport | None:
        """What the provider says, or None while its API is unreachable."""
        if self._plant.faulty(pool, FaultKind.API_UNREACHABLE, at):
            return None
        return self._plant.report(pool)

    def _try(self, pool: str, at: float) -> list[ActionReport]:
        order = self._orders[pool]
        decision = order.decision
        report = self.read(pool, at)
        if order.done_at is not None:
            return self._confirm(order, order.done_at, report, at)
        if report is None:
            if at - order.submitted_at < ACTION_DEADLINE_S:
                return []
            return self._end(order, at, ActionStatus.GIVEN_UP, "unreachable")
        if self._plant.set_replicas(pool, decision.desired, at=at) < decision.desired:
            return self._end(order, at, ActionStatus.REFUSED, "no_capacity")
        order.done_at = at
        return [_told(decision, at, ActionStatus.DONE)]

    def _confirm(
        self, order: _Order, done_at: float, report: PoolReport | None, at: float
    ) -> list[ActionReport]:
        desired = order.decision.desired
        grew = desired > order.decision.current
        if report is not None:
            arrived = report.ready >= desired
            left = report.ready <= desired and report.terminating == 0
            if arrived if grew else left:
                startup_s = at - done_at if grew else None
                return self._end(order, at, ActionStatus.CONFIRMED, startup_s=startup_s)
        if at - done_at < CONFIRM_TIMEOUT_S:
            return []
        return self._end(order, at, ActionStatus.GIVEN_UP, "not_ready_in_time")

    def _end(
        self,
        order: _Order,
        at: float,
        status: ActionStatus,
        cause: str = "",
        startup_s: float | None = None,
    ) -> list[ActionReport]:
        del self._orders[order.decision.pool]
        return [_told(order.decision, at, status, cause, startup_s)]


def _told(
    decision: Decision,
    at: float,
    status: ActionStatus,
    cause: str = "",
    startup_s: float | None = None,
) -> ActionReport:
    return ActionReport(decision.pool, decision.id, at, status, decision.desired, cause, startup_s)

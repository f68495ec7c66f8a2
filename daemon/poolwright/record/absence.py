"""An accelerator that was granted and is not there: lost, or its capacity never came.

An advantage says what an accelerator is worth, not whether it is there, so it stays granted while
the default pools carry its load. What people are told has to say which of the two it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from poolwright.model.assessment import Advantage
from poolwright.model.decision import Decision, Outcome
from poolwright.model.rule import PoolRole, ServiceRule
from poolwright.record.journal import Brief, Journal
from poolwright.record.wording import duration, exact_duration

CHANGING = (Outcome.SCALE_UP, Outcome.SCALE_DOWN)


@dataclass(frozen=True, slots=True)
class Absence:
    """None of a granted pool's replicas is ready, for longer than one takes to start."""

    lasts_s: float
    startup_s: float
    carried_by: tuple[str, ...]
    """Default pools that have its load."""

    def words(self) -> str:
        load = f": its load is with {', '.join(self.carried_by)}" if self.carried_by else ""
        return f"none is ready for {duration(self.lasts_s)}{load}"

    def advice(self) -> str:
        startup = exact_duration(self.startup_s)
        return f"none is ready for longer than a start takes ({startup}): look at its provider"


def absence_of(
    advantage: Advantage | None,
    since: float | None,
    at: float,
    startup_s: float | None,
    service: ServiceRule | None,
) -> Absence | None:
    """The absence at `at`, None where there is none; `since` as of `Absent`.

    Without a service's rule every pool of the alternative counts as a default pool.
    """
    if advantage is None or not advantage.granted or since is None or startup_s is None:
        return None
    if at - since <= startup_s:
        return None
    defaults = None
    if service is not None:
        defaults = {pool.name for pool in service.pools if pool.role is PoolRole.DEFAULT}
    without = advantage.alternatives[0].replicas if advantage.alternatives else {}
    carried_by = tuple(name for name in without if defaults is None or name in defaults)
    return Absence(at - since, startup_s, carried_by)


def absence_at(
    decision: Decision, since: float | None, service: ServiceRule | None
) -> Absence | None:
    """As of a decision, by the start-up time that it knew or else the rule's."""
    inputs = decision.inputs
    startup_s = next((found.startup_s for found in inputs.assessments), None)
    if startup_s is None and service is not None:
        declared = (pool.startup_s for pool in service.pools if pool.name == decision.pool)
        startup_s = next(declared, None)
    return absence_of(inputs.advantage, since, decision.at, startup_s, service)


@dataclass(frozen=True, slots=True)
class Sight:
    """What one decision saw of a pool."""

    at: float
    told: int
    ready: int | None
    granted: bool

    @classmethod
    def of(cls, decision: Decision | Brief) -> Self:
        report, advantage = decision.inputs.report, decision.inputs.advantage
        acts = decision.outcome in CHANGING
        return cls(
            decision.at,
            max(decision.current, decision.desired) if acts else decision.current,
            None if report is None else report.ready,
            advantage is not None and advantage.granted,
        )

    @property
    def absent(self) -> bool | None:
        """Told to have replicas, and none is ready; None where that stays as it was.

        A granted pool that is told to have none, as there is no stock or the plan stopped to wait
        for it, is absent still.
        """
        if self.ready is None:
            return None
        if self.ready > 0:
            return False
        return True if self.told > 0 else None if self.granted else False


class Absent:
    """Since when pools are absent, by their decisions, in epoch seconds."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def __getitem__(self, pool: str) -> float | None:
        return self._since.get(pool)

    def note(self, decision: Decision) -> None:
        """Takes the next decision of its pool."""
        sight = Sight.of(decision)
        if sight.absent:
            self._since.setdefault(decision.pool, sight.at)
        elif sight.absent is False:
            self._since.pop(decision.pool, None)

    def recall(self, journal: Journal, pools: Iterable[str]) -> None:
        """Takes up what the journal says, so that a restart resets nothing."""
        for pool in pools:
            since = absent_since(journal, pool)
            if since is not None:
                self._since[pool] = since


def absent_since(journal: Journal, pool: str, until: float | None = None) -> float | None:
    """Since when the pool is absent as of its last decision, or of the last one at `until`."""
    since = None
    for sight in map(Sight.of, journal.history(pool)):
        if until is not None and sight.at > until:
            continue
        if sight.absent is False:
            break
        since = sight.at if sight.absent else since
    return since

"""How a pool came to its count: the journal walked backwards to the change that led to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from poolwright.model.decision import Decision, Reason
from poolwright.model.pool import ActionStatus
from poolwright.record.absence import CHANGING, absent_since
from poolwright.record.journal import Brief, Journal, StoredAction


class Origin(StrEnum):
    """Where the count comes from."""

    DECIDED = "decided"
    OUTSIDE = "outside"
    """The count changed between two decisions, and neither of them set it."""
    BEFORE_JOURNAL = "before_journal"
    """It is as old as the record."""


@dataclass(frozen=True, slots=True)
class PoolStory:
    pool: str
    count: int
    """What the pool was last told, as of `latest`."""
    latest: Decision
    held_since: float
    """Since when decisions say the same as `latest`."""
    origin: Origin
    since: float
    """When the count was decided, or first seen."""
    change: Decision | None = None
    actions: tuple[StoredAction, ...] = ()
    """What became of `change`."""
    before: Brief | None = None
    """The last decision that saw another count (OUTSIDE)."""
    failed: Decision | None = None
    """The newest change since then that was decided and not carried out."""
    failed_actions: tuple[StoredAction, ...] = ()
    absent_since: float | None = None
    """Since when none of the replicas that it was told to have is ready; see `record.absence`."""


def was_refused(actions: Sequence[StoredAction]) -> bool:
    """True when the provider never took the order."""
    statuses = [action.report.status for action in actions]
    ended = ActionStatus.REFUSED in statuses or ActionStatus.GIVEN_UP in statuses
    return ended and ActionStatus.DONE not in statuses


def pool_story(journal: Journal, pool: str) -> PoolStory | None:
    """The pool's story; None where the journal has no decision of it."""
    stored = journal.last_decision(pool)
    if stored is None:
        return None
    latest = stored.decision
    count = latest.current
    if latest.acts and not was_refused(journal.actions(latest.id)):
        count = latest.desired
    seen_since = held_since = latest.at
    same = True
    failed: str | None = None
    origin, change, before = Origin.BEFORE_JOURNAL, None, None
    for brief in journal.history(pool):
        same = same and _says_the_same(brief, latest)
        held_since = brief.at if same else held_since
        if brief.reason == Reason.UNKNOWN_POOL:
            continue
        changing = brief.outcome in CHANGING
        refused = changing and was_refused(journal.actions(brief.id))
        if changing and not refused and brief.desired == count:
            origin, change, seen_since = Origin.DECIDED, brief.id, brief.at
            break
        if brief.current != count:
            origin, before = Origin.OUTSIDE, brief
            break
        seen_since = brief.at
        if refused and failed is None:
            failed = brief.id
    return PoolStory(
        pool,
        count,
        latest,
        held_since,
        origin,
        seen_since,
        _decision(journal, change),
        _actions(journal, change),
        before,
        _decision(journal, failed),
        _actions(journal, failed),
        absent_since(journal, pool),
    )


def _says_the_same(brief: Brief, latest: Decision) -> bool:
    return (brief.outcome, brief.reason, brief.current, brief.desired) == (
        latest.outcome,
        latest.reason,
        latest.current,
        latest.desired,
    )


def _decision(journal: Journal, decision_id: str | None) -> Decision | None:
    stored = None if decision_id is None else journal.decision(decision_id)
    return None if stored is None else stored.decision


def _actions(journal: Journal, decision_id: str | None) -> tuple[StoredAction, ...]:
    return () if decision_id is None else tuple(journal.actions(decision_id))

"""What is known of a pool from outside the core: the provider's report and how actions ended."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class PoolReport:
    """What the provider said: `desired` is the count that it was last told.

    `short` are its words why replicas that were ordered do not come (no capacity, a quota); '' is
    that it says nothing of the kind.
    """

    pool: str
    at: float
    desired: int
    ready: int
    starting: int = 0
    terminating: int = 0
    short: str = ""


class ActionStatus(StrEnum):
    STARTED = "started"
    DONE = "done"
    """The provider has the count; replicas may still be starting."""
    REFUSED = "refused"
    """Rechecked and not sent, or the provider said no (capacity, quota, gone, unauthorised)."""
    GIVEN_UP = "given_up"
    """Attempts or time ran out."""
    CONFIRMED = "confirmed"
    """The replicas are ready."""


@dataclass(frozen=True, slots=True)
class ActionReport:
    """An action of a decision reached a status. `cause` is an error kind or empty."""

    pool: str
    decision_id: str
    at: float
    status: ActionStatus
    desired: int
    cause: str = ""
    startup_s: float | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One provider call of an action. `error` is a kind of actuation.provider or empty."""

    started_at: float
    ended_at: float
    error: str = ""
    detail: str = ""

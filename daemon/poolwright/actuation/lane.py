"""One pool's way to its provider, and the action that is on it."""

import asyncio
from dataclasses import dataclass, field

from poolwright.actuation.circuit import Circuit
from poolwright.actuation.provider import CallError, Provider, Throttled
from poolwright.model.decision import Decision
from poolwright.model.pool import Attempt


@dataclass(slots=True)
class Action:
    decision: Decision
    expected: frozenset[int]
    """Counts that the recheck accepts: the decision's own, and those of decisions it superseded."""
    provider: Provider
    attempts: list[Attempt] = field(default_factory=list)
    ordered_at: float | None = None


@dataclass(slots=True)
class Lane:
    """One pool's way to its provider."""

    provider: Provider
    circuit: Circuit = field(default_factory=Circuit)
    waiting: list[Decision] = field(default_factory=list)
    interrupt: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while a newer decision waits or the daemon stops."""
    task: asyncio.Task[None] | None = None
    action: Action | None = None
    patience_until: float = 0.0
    """Monotonic seconds: until then the API has asked to be left alone."""

    def patience_left_s(self, now: float) -> float:
        return max(0.0, self.patience_until - now)

    def heed(self, error: CallError, now: float) -> None:
        """What the API asks for holds for the next actions and reads, too."""
        if isinstance(error, Throttled) and error.retry_after_s is not None:
            self.patience_until = max(self.patience_until, now + error.retry_after_s)

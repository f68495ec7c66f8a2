"""What a provider is and what its errors mean: all that executor and adapters share.

An adapter holds the API and nothing else. Retries, deadlines, circuits and confirmation belong to
`poolwright.actuation.executor`, so that all adapters get the same and a new
adapter is small.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from poolwright.errors import ProviderError
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRule
from poolwright.settings import Settings


class Level(StrEnum):
    """How much a finding of `check --live` stands in the way of scaling."""

    OK = "ok"
    WARNING = "warning"
    """The pool scales, with less than it could have (or somebody may interfere)."""
    PROBLEM = "problem"
    """The pool cannot be scaled, or not kept, until this is mended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a look at the target found: `remedy` says what to do, '' where nothing is."""

    level: Level
    what: str
    remedy: str = ""


class Provider(Protocol):
    """One pool's target. The calls raise nothing but the errors of this module.

    A credential that it reads it tells to `poolwright.redaction.never_show` before it uses it, so
    that no answer, log or fault that quotes it shows it.
    """

    async def read(self) -> PoolReport:
        """What the target has now, and which count it was last told."""

    async def set_replicas(self, count: int, *, key: str, drain: Sequence[str] = ()) -> None:
        """Ask for an absolute count; a repeat of `key` (the decision's id) has no effect.

        `drain` names replicas, as telemetry does, that are to go first when the count falls: a
        wish that never keeps the count from being set. Where the API cannot say which replicas
        go, it is ignored.
        """

    async def inspect(self) -> Sequence[Finding]:
        """What the credentials allow, what they lack, and who else may set the count.

        It changes nothing, not even by a dry run that others could see. The count itself is not
        among the findings: `read` has it.
        """

    async def close(self) -> None:
        """Release connections; nothing is called afterwards."""


Factory = Callable[[PoolRule, Settings], Provider]
"""Makes the provider of one pool. Wrong targets raise SettingsError that says which key to mend."""


class CallError(ProviderError):
    """A provider call failed. `kind` is what attempts, metrics and traces carry.

    `retried`: the executor tries again within the action's deadline.
    `ambiguous`: the target may have obeyed although the call failed; the executor reads back first.
    `trips`: it counts towards opening the target's circuit.
    """

    kind: ClassVar[str]
    retried: ClassVar[bool] = False
    ambiguous: ClassVar[bool] = False
    trips: ClassVar[bool] = False


class NoCapacity(CallError):  # noqa: N818  the kinds read as words
    """Out of stock or quota. Not retried: refused, and the core waits before it asks again.

    `granted` is the count that the target has got instead, where it says so.
    """

    kind = "no_capacity"

    def __init__(self, message: str, *, granted: int | None = None) -> None:
        super().__init__(message)
        self.granted = granted


class Gone(CallError):  # noqa: N818  the kinds read as words
    """The target does not exist. Not retried: refused; a person mends the rule file."""

    kind = "gone"


class Conflict(CallError):  # noqa: N818  the kinds read as words
    """Somebody else wrote in between. Retried, but only after a recheck.

    If the count has changed, the action is refused as `changed_outside`.
    """

    kind = "conflict"
    retried = True


class Throttled(CallError):  # noqa: N818  the kinds read as words
    """The API asks for patience. Retried, not before `retry_after_s` where it says so."""

    kind = "throttled"
    retried = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Invalid(CallError):  # noqa: N818  the kinds read as words
    """The API does not take the order as it is. Not retried: the same would be refused again."""

    kind = "invalid"


class Unauthorised(CallError):  # noqa: N818  the kinds read as words
    """Credentials or permissions are wrong. Not retried: refused; a person mends them."""

    kind = "unauthorised"


class Unreachable(CallError):  # noqa: N818  the kinds read as words
    """No answer, a broken one, or a server error. Retried after reading back; trips the circuit."""

    kind = "unreachable"
    retried = True
    ambiguous = True
    trips = True

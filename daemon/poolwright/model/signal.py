"""A signal: a statistic that knows whether it may be believed; never a bare number."""

from dataclasses import dataclass
from enum import StrEnum


class SignalStatus(StrEnum):
    FRESH = "fresh"
    STALE = "stale"
    MISSING = "missing"


class Unhealthy(StrEnum):
    """Why a signal has no usable value."""

    NEVER_SEEN = "never_seen"
    NO_SAMPLES = "no_samples"
    TOO_OLD = "too_old"
    NO_QUORUM = "no_quorum"
    IDLE = "idle"
    """No request ended because there was none: the replicas report and have no work."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Named statistic of samples over a window.

    `value` is a number only while FRESH (a STALE signal keeps its last one in `last_value`, for
    people to read, never for triggers). `age_s` counts from the newest sample.
    """

    name: str
    status: SignalStatus
    value: float | None
    age_s: float | None
    samples: int
    replicas_reporting: int = 0
    replicas_expected: int = 0
    why: Unhealthy | None = None
    last_value: float | None = None

    @property
    def blocks_scale_down(self) -> bool:
        """True unless fresh, or without a value only because there is nothing to measure."""
        return self.status is not SignalStatus.FRESH and self.why is not Unhealthy.IDLE

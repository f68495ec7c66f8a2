"""The only place that reads a clock: `now()` for records, `monotonic()` for durations."""

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Event time: seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean something."""

    def real_seconds(self, seconds: float) -> float:
        """How long `seconds` of event time take in real time."""


class SystemClock:
    """Event time is the machine's wall clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def real_seconds(self, seconds: float) -> float:
        return seconds


class ScaledClock:
    """Event time runs `speed` times as fast as the wall clock from `origin_wall` on.

    The demo and the tests that play an hour in a minute give the load player and the daemon the
    same origin, so that both agree on event time although they are two processes.
    """

    def __init__(self, *, speed: float, origin_wall: float, origin_event: float) -> None:
        self._speed = speed
        self._origin_wall = origin_wall
        self._origin_event = origin_event

    def now(self) -> float:
        return self._origin_event + (time.time() - self._origin_wall) * self._speed

    def monotonic(self) -> float:
        return time.monotonic() * self._speed

    def real_seconds(self, seconds: float) -> float:
        return seconds / self._speed


class VirtualClock:
    """A clock that stands still until it is moved: replay and tests."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def real_seconds(self, seconds: float) -> float:  # noqa: ARG002
        return 0.0

    def advance_to(self, now: float) -> None:
        self._now = max(self._now, now)

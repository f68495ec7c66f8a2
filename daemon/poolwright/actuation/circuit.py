"""A circuit per target: after repeated failures it is left alone for a while, then probed once."""

from typing import Final

FAILURES_TO_OPEN: Final = 5
OPEN_S: Final = 30.0


class Circuit:
    """Times are a monotonic clock's seconds; a pool acts serially, so half-open is one probe."""

    def __init__(self, *, failures_to_open: int = FAILURES_TO_OPEN, open_s: float = OPEN_S) -> None:
        self._failures_to_open = failures_to_open
        self._open_s = open_s
        self._failures = 0
        self._opened_at: float | None = None

    def is_open(self, now: float) -> bool:
        return self._opened_at is not None and now - self._opened_at < self._open_s

    def failed(self, now: float) -> None:
        self._failures += 1
        if self._failures >= self._failures_to_open:
            self._opened_at = now

    def answered(self) -> None:
        """The target answered, if only to say no."""
        self._failures = 0
        self._opened_at = None

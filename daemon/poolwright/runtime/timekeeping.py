"""The clock that the settings ask for, and what the daemon and replays do at the same pace."""

from poolwright.clock import Clock, ScaledClock, SystemClock
from poolwright.settings import ClockSettings


def make_clock(settings: ClockSettings) -> Clock:
    """The system's clock, unless a speed or an origin is set (demo, tests)."""
    if settings.speed == 1.0 and not settings.origin_wall_s:
        return SystemClock()
    return ScaledClock(
        speed=settings.speed,
        origin_wall=settings.origin_wall_s,
        origin_event=settings.origin_event_s,
    )

"""Recurring spans of time from cron and a time zone; daylight saving is cronsim's."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from poolwright.model.rule import Schedule

_EARLIEST = 0.0


def make(cron: str, tz: str, lasts_s: float) -> Schedule:
    """Raise ValueError where the cron expression or the time zone is wrong."""
    try:
        zone = ZoneInfo(tz)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone `{tz}`; write one like Europe/Paris or UTC") from error
    try:
        CronSim(cron, datetime(2026, 1, 1, tzinfo=zone))
    except CronSimError as error:
        raise ValueError(
            f"bad cron `{cron}`: {error}; write minute hour day month weekday"
        ) from error
    cache: list[tuple[float, float]] = []

    def first_start_after(instant: float) -> float:
        # Asked every second: the answer holds from the instant asked for up to the start itself.
        if cache and cache[0][0] <= instant < cache[0][1]:
            return cache[0][1]
        local = datetime.fromtimestamp(instant, UTC).astimezone(zone)
        # In the hour that autumn repeats, the next start by the wall clock may be past.
        starts = (start.timestamp() for start in CronSim(cron, local))
        start = next((start for start in starts if start > instant), float("inf"))
        cache[:] = [(instant, start)]
        return start

    def active(at: float) -> bool:
        return first_start_after(max(at - lasts_s, _EARLIEST)) <= at

    return Schedule(cron, tz, lasts_s, active)

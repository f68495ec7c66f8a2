"""Recurring spans of time from cron and a time zone; daylight saving is cronsim's."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from poolwright.model.rule import Schedule


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
    cache: list[tuple[float, float, float | None]] = []

    def active(at: float) -> bool:
        # Asked every second: the last and the next start hold for all instants between them.
        if not cache or not cache[0][0] <= at < cache[0][1]:
            local = datetime.fromtimestamp(at, UTC).astimezone(zone)
            try:
                next_at = next(CronSim(cron, local)).timestamp()
            except StopIteration:
                next_at = float("inf")
            try:
                before = next(CronSim(cron, local + timedelta(seconds=1), reverse=True))
                last_at: float | None = before.timestamp()
            except StopIteration:
                last_at = None
            cache[:] = [(at, max(next_at, at + 1e-6), last_at)]
        started = cache[0][2]
        return started is not None and started <= at < started + lasts_s

    return Schedule(cron, tz, lasts_s, active)

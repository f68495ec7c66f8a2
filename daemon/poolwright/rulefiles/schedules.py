"""Recurring spans of time from cron and a time zone; daylight saving is cronsim's."""

import re
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from poolwright.model.rule import Schedule

_EARLIEST = 0.0


_FIELDS: Final = ("minute", "hour", "day-of-month", "month", "day-of-week")
_RANGES: Final = ("0-59", "0-23", "1-31", "1-12 or JAN-DEC", "0-7 or SUN-SAT")
_CRON_HINT: Final = "write five fields: minute hour day month weekday"
_DAYS: Final = r"0?[1-9]|[12][0-9]|3[01]"


class ScheduleError(ValueError):
    """`key` is what is wrong, `start` or `tz`; `hint` says how to write it."""

    def __init__(self, key: Literal["start", "tz"], message: str, hint: str) -> None:
        super().__init__(message)
        self.key, self.hint = key, hint


def check_zone(tz: str) -> ZoneInfo:
    """Raise ScheduleError for an unknown time zone."""
    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, OSError) as error:
        raise ScheduleError("tz", f"unknown time zone `{tz}`", _zone_hint(tz)) from error


def _zone_hint(tz: str) -> str:
    known = available_timezones()
    place = tz.replace(" ", "_").lower()
    close = [name for name in sorted(known) if name.rpartition("/")[2].lower() == place]
    if not close and re.fullmatch(r"[A-Z]{2,5}([+-].*)?|[+-].*", tz):
        return "write one like Europe/Paris: abbreviations and offsets know no summer time"
    close = close or get_close_matches(tz, known, 1)
    return f"did you mean `{close[0]}`?" if close else "write one like Europe/Paris or UTC"


def check_cron(cron: str) -> None:
    """Raise ScheduleError where the expression is wrong or can never come true."""
    fields = cron.split()
    if len(fields) != len(_FIELDS):
        count = f"{len(fields)} field{'s' if len(fields) != 1 else ''}"
        more = ", without seconds" if len(fields) > len(_FIELDS) else ""
        raise ScheduleError("start", f"cron `{cron}` has {count}", _CRON_HINT + more)
    try:
        CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        name = str(error).removeprefix("Bad ")
        if name == "day-of-month" and re.fullmatch(_DAYS, fields[2]):
            message = f"cron `{cron}` never comes: no such month has a day {fields[2]}"
            raise ScheduleError("start", message, "correct the day or the month") from error
        message, hint = f"cron `{cron}` is wrong: {error}", _CRON_HINT
        if name in _FIELDS:
            at = _FIELDS.index(name)
            name = name.removesuffix("-of-month").replace("day-of-week", "weekday")
            message = f"`{fields[at]}` is no {name} in cron `{cron}`"
            hint = f"{name}: {_RANGES[at]}, *, lists and steps"
        raise ScheduleError("start", message, hint) from error


def make(cron: str, tz: str, lasts_s: float) -> Schedule:
    """Raise ScheduleError where the cron expression or the time zone is wrong."""
    zone = check_zone(tz)
    check_cron(cron)
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

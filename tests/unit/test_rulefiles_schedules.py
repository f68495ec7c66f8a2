"""Schedules: active from the exact second for their length, whatever the clocks do."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from poolwright.model.rule import ScheduleTrigger
from poolwright.rulefiles import load
from poolwright.rulefiles.schedules import make

RULES = Path(__file__).parents[2] / "rules"


def _steps(begin: datetime, seconds: int) -> list[float]:
    return [begin.timestamp() + i for i in range(seconds)]


def test_a_schedule_is_active_from_the_exact_second_for_its_length() -> None:
    start = datetime(2026, 1, 12, 7, 30, tzinfo=ZoneInfo("Europe/Paris"))
    begin = start.timestamp()
    times = _steps(start - timedelta(seconds=90), 300)
    expected = [begin <= at < begin + 60 for at in times]
    rising = make("30 7 * * MON-FRI", "Europe/Paris", 60.0)
    assert [rising.active(at) for at in times] == expected
    falling = make("30 7 * * MON-FRI", "Europe/Paris", 60.0)
    assert [falling.active(at) for at in reversed(times)] == expected[::-1]
    # One and the same schedule, asked forth and back.
    assert [rising.active(at) for at in reversed(times)] == expected[::-1]
    assert rising.active(begin + 0.25)
    assert not rising.active(begin - 0.25)
    assert rising.active(begin + 59.75)
    assert not rising.active(begin + 60.0)


def test_a_schedule_longer_than_its_period_never_ends() -> None:
    hourly = make("0 * * * *", "UTC", 7200.0)
    assert all(hourly.active(1768176000.0 + 600.0 * i) for i in range(50))


@pytest.mark.parametrize(
    ("cron", "tz", "start"),
    [
        # 02:30 does not exist in this night: its job begins when the clock has jumped.
        ("30 2 * * *", "Europe/Paris", datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        # 02:30 comes twice: the first counts.
        ("30 2 * * *", "Europe/Paris", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        # The day after: the wall clock's hour, another hour of UTC.
        ("30 7 * * *", "Europe/Paris", datetime(2026, 3, 28, 6, 30, tzinfo=UTC)),
        ("30 7 * * *", "Europe/Paris", datetime(2026, 3, 29, 5, 30, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("lasts_s", [600.0, 5400.0])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_schedule_by_daylight_saving(
    cron: str, tz: str, start: datetime, backwards: bool, lasts_s: float
) -> None:
    schedule = make(cron, tz, lasts_s)
    begin = start.timestamp()
    times = _steps(start - timedelta(hours=2), 5 * 3600)[::7]
    times += [begin - 1.0, begin, begin + lasts_s - 1.0, begin + lasts_s]
    times.sort(reverse=backwards)
    active = [at for at in times if schedule.active(at)]
    assert active == [at for at in times if begin <= at < begin + lasts_s]


def test_a_schedule_of_the_examples_by_weekday() -> None:
    triggers = load(RULES).services[0].triggers
    (ramp,) = (trigger for trigger in triggers if isinstance(trigger, ScheduleTrigger))
    zone = ZoneInfo("Europe/Paris")
    monday = datetime(2026, 1, 12, 8, 0, tzinfo=zone).timestamp()
    sunday = datetime(2026, 1, 11, 8, 0, tzinfo=zone).timestamp()
    assert (ramp.schedule.active(monday), ramp.schedule.active(sunday)) == (True, False)

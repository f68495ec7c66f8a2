"""The p95 of requests that ended lately: which ones count, and that a sample tells it."""

import numpy as np
import pytest

from poolwright.capacity.ended import (
    LEAST_REQUESTS,
    MINUTES,
    PLACES,
    STALE_S,
    EndedTimes,
    Measured,
)

AT = 1_000_020.0
"""A minute begins."""


def noted(times: EndedTimes, at, seconds) -> EndedTimes:
    """Requests with the same value in each of their times."""
    at = np.asarray(at, dtype=np.float64)
    values = np.broadcast_to(np.asarray(seconds, dtype=np.float64), at.shape)
    times.note(at, values, values, values)
    return times


def spread(since: float, until: float, count: int) -> np.ndarray:
    return np.linspace(since, until, count, endpoint=False)


def test_nothing_ended_is_unknown_and_never_zero() -> None:
    assert EndedTimes().measured(AT) == {
        "ttft": Measured(0, None), "itl": Measured(0, None), "e2e": Measured(0, None),
    }  # fmt: skip


def test_a_p95_is_exceeded_by_one_in_twenty() -> None:
    # Ten a minute: every one of them is kept.
    values = np.random.default_rng(1).permutation(np.arange(1.0, 101.0))
    times = noted(EndedTimes(), spread(AT - 540, AT + 59, 100), values)
    assert times.measured(AT + 59)["itl"] == Measured(100, 95.0)


def test_too_few_say_nothing_but_how_many_they_are() -> None:
    times = noted(EndedTimes(), spread(AT, AT + 60, LEAST_REQUESTS - 1), 0.2)
    assert times.measured(AT + 59)["ttft"] == Measured(LEAST_REQUESTS - 1, None)
    noted(times, [AT + 59], 0.2)
    assert times.measured(AT + 59)["ttft"] == Measured(LEAST_REQUESTS, pytest.approx(0.2))


def test_each_time_counts_for_itself() -> None:
    at = spread(AT, AT + 60, 200)
    ttft_s = np.where(np.arange(200) % 2 == 0, 0.5, np.nan)
    times = EndedTimes()
    times.note(at, ttft_s, np.full(200, np.nan), np.full(200, 3.0))
    found = times.measured(AT + 60)
    assert found["itl"] == Measured(0, None)
    assert found["e2e"] == Measured(200, 3.0)
    assert found["ttft"].p95_s == 0.5
    assert found["ttft"].requests == pytest.approx(100, abs=30), "estimated from those kept"


def test_a_pool_in_which_nothing_ended_of_late_says_nothing() -> None:
    times = noted(EndedTimes(), spread(AT, AT + 60, 500), 0.2)
    newest = times.newest_at
    assert times.measured(newest + STALE_S)["itl"].p95_s == pytest.approx(0.2)
    assert times.measured(newest + STALE_S + 1)["itl"] == Measured(500, None)


def test_what_is_older_than_the_window_is_forgotten() -> None:
    times = noted(EndedTimes(), spread(AT, AT + 60, 500), 9.0)
    noted(times, spread(AT + 60, AT + 120, 200), 1.0)
    still = AT + 60 * MINUTES - 1
    noted(times, [still], 1.0)
    assert times.measured(still)["itl"] == Measured(701, 9.0)
    noted(times, [still + 1], 1.0)
    assert times.measured(still + 1)["itl"] == Measured(202, 1.0)
    # A late one whose minute has made room for a newer one is left out.
    noted(times, [AT + 1], 9.0)
    assert times.measured(still + 1)["itl"] == Measured(202, 1.0)


def test_what_is_to_come_does_not_count_yet() -> None:
    times = noted(EndedTimes(), spread(AT, AT + 60, 200), 1.0)
    noted(times, spread(AT + 180, AT + 240, 300), 9.0)
    assert times.measured(AT + 60)["itl"] == Measured(200, 1.0)


def test_a_busy_minute_weighs_as_much_as_it_had_requests() -> None:
    times = noted(EndedTimes(), spread(AT, AT + 60, 3000), 1.0)
    noted(times, spread(AT + 60, AT + 120, 60), 9.0)
    assert times.measured(AT + 119)["e2e"] == Measured(3060, 1.0)
    noted(times, spread(AT + 120, AT + 180, 300), 9.0)
    assert times.measured(AT + 179)["e2e"] == Measured(3360, 9.0)


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_tells_the_p95_of_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    at = np.sort(AT + random.random(20_000) * 60 * MINUTES)
    values = np.exp(0.6 * random.standard_normal(len(at)))
    # One in four, always the same place in the telemetry, takes longer: sampling must not beat.
    values[::4] *= 2.0
    times = noted(EndedTimes(), at, values)
    found = times.measured(float(at[-1]))["itl"]
    assert found.requests == len(at)
    rank = float((values <= found.p95_s).mean())
    assert rank == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / (MINUTES * PLACES)))


@pytest.mark.parametrize("count", [100, 320, 1000, 3000, 10_000, 60_000])
def test_those_kept_are_from_all_over_the_minute(count: int) -> None:
    times = noted(EndedTimes(), np.full(count, AT), np.arange(count, dtype=float))
    kept = times.seconds[int(AT // 60) % MINUTES, :, 0] / count
    assert len(np.unique(kept)) == PLACES
    assert kept.mean() == pytest.approx(0.5, abs=3 / np.sqrt(12 * PLACES))
    assert kept.std() == pytest.approx(1 / np.sqrt(12), rel=0.3)


def test_how_telemetry_is_batched_changes_nothing() -> None:
    random = np.random.default_rng(3)
    at = np.sort(AT + random.random(3000) * 200)
    values = random.random(3000)
    whole, parts = noted(EndedTimes(), at, values), EndedTimes()
    for part in np.array_split(np.arange(3000), 77):
        noted(parts, at[part], values[part])
    noted(parts, [], [])
    assert np.array_equal(whole.seconds, parts.seconds, equal_nan=True)
    assert np.array_equal(whole.ended, parts.ended)
    assert whole.newest_at == parts.newest_at


def test_it_stays_small() -> None:
    times = noted(EndedTimes(), spread(AT, AT + 3600, 100_000), 1.0)
    assert times.seconds.nbytes + times.ended.nbytes + times.minutes.nbytes < 4096


def test_times_that_are_not_compared_are_not_kept() -> None:
    times = noted(EndedTimes(("e2e",)), spread(AT, AT + 60, 200), 3.0)
    assert times.seconds.nbytes == EndedTimes().seconds.nbytes / 3
    assert times.measured(AT + 60) == {
        "ttft": Measured(0, None), "itl": Measured(0, None), "e2e": Measured(200, 3.0),
    }  # fmt: skip

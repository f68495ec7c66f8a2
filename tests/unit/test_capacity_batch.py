"""A batch is full where a queue stays behind as many as ever ran, and not where someone waits."""

from collections.abc import Iterable
from math import nan

import numpy as np
import pytest

from poolwright.capacity.batch import GAP_S, BatchLimit

EVERY_S = 5.0


def limit(samples: Iterable[tuple[float, float]], *, every_s: float = EVERY_S) -> BatchLimit:
    """After one replica's samples of running and waiting."""
    found = BatchLimit()
    for number, (running, waiting) in enumerate(samples):
        found.observe(1, number * every_s, running, waiting)
    return found


def test_a_queue_that_stays_shows_the_limit() -> None:
    queue = [(64.0, 3.0)] * 7
    assert limit([(40.0, 0.0), *queue[:6]]).requests is None
    assert limit([(40.0, 0.0), *queue]).requests == 64.0


@pytest.mark.parametrize(("every_s", "samples"), [(1.0, 31), (5.0, 7), (15.0, 4)])
def test_it_stays_so_many_samples_and_so_long(every_s: float, samples: int) -> None:
    assert limit([(64.0, 1.0)] * (samples - 1), every_s=every_s).requests is None
    assert limit([(64.0, 1.0)] * samples, every_s=every_s).requests == 64.0


@pytest.mark.parametrize("seed", range(3))
def test_who_waits_for_an_iteration_is_no_queue(seed: int) -> None:
    # Six in a hundred samples of engines that admit at each iteration: ten hours of them.
    random = np.random.default_rng(seed)
    running, waiting = random.integers(1, 7, 7200), random.random(7200) < 0.06
    assert limit(zip(running, waiting.astype(float), strict=True)).requests is None


def test_a_queue_behind_a_long_prompt_is_no_full_batch() -> None:
    assert limit([(20.0, 0.0), *[(5.0, 9.0)] * 12]).requests is None
    # Nor while more and more come to run, or fewer between.
    assert limit([(float(n), 9.0) for n in range(2, 14)]).requests is None
    assert limit([(13.0, 2.0), (8.0, 2.0)] * 12).requests is None


def test_more_that_ran_disprove_a_limit() -> None:
    found = limit([(8.0, 2.0)] * 7)
    assert found.requests == 8.0
    found.observe(2, 35.0, 9.0, 0.0)
    assert found.requests is None


def test_a_limit_that_was_lowered_is_found_in_time() -> None:
    found = limit([(128.0, 3.0)] * 7)
    for number in range(7, 200):
        found.observe(1, number * EVERY_S, 64.0, 30.0)
    assert found.requests == pytest.approx(64.0, rel=0.05)


def test_what_is_not_told_is_no_queue_and_no_batch() -> None:
    assert limit([(nan, 3.0)] * 12).requests is None
    assert limit([(0.0, 3.0)] * 12).requests is None
    assert limit([(64.0, 3.0)] * 6 + [(64.0, nan)] + [(64.0, 3.0)] * 6).requests is None


def test_a_silence_begins_it_anew() -> None:
    found = limit([(64.0, 3.0)] * 6)
    found.observe(1, 25.0 + GAP_S + 1.0, 64.0, 3.0)
    assert found.requests is None
    found.forget(200.0)
    assert found.replicas() == set()


def test_each_replica_has_its_own_queue() -> None:
    found = BatchLimit()
    for number in range(8):
        found.observe(number, number * EVERY_S, 64.0, 3.0)
    assert found.requests is None
    assert found.replicas() == set(range(8))
    found.forget(7 * EVERY_S + GAP_S)
    assert found.replicas() == {7}

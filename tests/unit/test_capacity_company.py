"""What a replica did while a request decoded is found from when its requests began and ended."""

import numpy as np
import pytest
from tests.unit.capacity_bench import simulate

from poolwright.capacity.company import LEAST_SEEN, Ended, Stays, company
from poolwright.capacity.speed import Speed

SLOW = Speed(0.020, 0.0006, 0.008, 0.00012)
NAMES = ("iterations", "tokens", "prefills", "prompt_tokens")


EVERYBODY = Stays(np.array([1e-9]), np.ones(1))
"""As if all had ended that began."""


def found_and_true(ended, now: float, stays: Stays | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Of one replica, what had ended by `now`: as found, and as it was."""
    seen = ended["ended"] <= now
    some = {name: column[seen] for name, column in ended.items()}
    first = some["ended"] - some["decode"]
    stays = stays or Stays.of(some["decode"], now - float(first.min()))
    requests = Ended(first, some["ended"], some["outputs"] - 1.0, some["inputs"])
    return company(requests, stays, now), np.column_stack([some[name] for name in NAMES])


def ended(first, end, made, inputs) -> Ended:
    return Ended(*(np.array(column, dtype=float) for column in (first, end, made, inputs)))


def test_a_batch_that_comes_and_goes_is_found() -> None:
    shown = simulate(SLOW, replicas=1, rate=2.0, seconds=300.0)
    found, true = found_and_true(shown, 1e9, EVERYBODY)
    decoded = (true[:, 0] > 20) & (shown["ended"] < 250.0)
    assert np.ptp(true[decoded, 1] / true[decoded, 0]) > 5.0
    assert (found[decoded, 0] == true[decoded, 0]).all()
    assert np.abs(found[decoded, 1] / true[decoded, 1] - 1.0).mean() < 0.03
    assert found[decoded, 2:].sum(axis=0) == pytest.approx(true[decoded, 2:].sum(axis=0), rel=0.05)


def test_a_full_batch_looks_full_to_every_request() -> None:
    shown = simulate(SLOW, replicas=1, rate=20.0, seconds=400.0, outputs=200.0, most=64)
    found, _ = found_and_true(shown, 1e9, EVERYBODY)
    steady = (found[:, 0] > 50) & (shown["ended"] > 200.0) & (shown["ended"] < 300.0)
    batch = found[steady, 1] / found[steady, 0]
    # As if each request had its own pace, it would scatter by a tenth and more.
    assert batch.std() / batch.mean() < 0.02


def test_company_that_still_runs_is_made_up_for() -> None:
    shown = simulate(SLOW, replicas=1, rate=20.0, seconds=400.0, outputs=200.0, most=64)
    now = 200.0
    found, true = found_and_true(shown, now)
    bare, _ = found_and_true(shown, now, EVERYBODY)
    end = shown["ended"][shown["ended"] <= now]
    settled = (end < now - 12.0) & (end > now - 40.0) & (true[:, 0] > 20)
    assert settled.sum() > 30
    for what in (1, 2):
        assert found[settled, what].sum() == pytest.approx(true[settled, what].sum(), rel=0.05)
        assert bare[settled, what].sum() < 0.95 * true[settled, what].sum()


def test_a_request_that_made_nothing_or_took_no_time_has_no_company() -> None:
    some = ended([0, 1, 2], [5, 1, 4], [50, 9, 0], [10, 20, 30])
    found = company(some, EVERYBODY, 100.0)
    assert found == pytest.approx(np.array([[50.0, 50.0, 2.0, 50.0], [0.0] * 4, [0.0] * 4]))
    assert company(ended([], [], [], []), EVERYBODY, 100.0).shape == (0, 4)


def test_two_that_run_together_make_two_tokens_an_iteration() -> None:
    found = company(ended([0, 2], [4, 4], [40, 20], [5, 7]), EVERYBODY, 100.0)
    assert found[:, 1] == pytest.approx([60.0, 40.0])
    assert found[:, 2:].tolist() == [[1.0, 7.0], [0.0, 0.0]]


def test_the_batch_counts_more_where_iterations_were_quick() -> None:
    # Ten iterations a second while two run, from 0 to 2; forty a second for the one that goes on.
    found = company(ended([0, 0], [4, 2], [100, 20], [0, 0]), EVERYBODY, 100.0)
    assert found[1, 1] == pytest.approx(40.0)
    # By the clock on the wall it would be 150 in all.
    assert 120.0 <= found[0, 1] < 145.0


def test_long_requests_that_began_too_late_to_have_ended_are_made_up_for() -> None:
    rng = np.random.default_rng(2)
    began, seconds = rng.uniform(0.0, 60.0, 20_000), rng.exponential(10.0, 20_000)
    seen = seconds[began + seconds < 60.0]
    true = float(np.quantile(seconds, 0.9))
    assert Stays.of(seen, 60.0).quantile(0.9) == pytest.approx(true, rel=0.05)
    assert Stays.of(seen, np.inf).quantile(0.9) < 0.9 * true


def test_the_share_that_has_ended_grows_with_time() -> None:
    seconds = np.random.default_rng(2).exponential(10.0, 20_000)
    stays = Stays.of(seconds, np.inf)
    since_s = np.array([20.0, 30.0])
    # Without memory: of what began then and of what ran then as much is left.
    for share in (stays.begun, stays.running):
        assert share(since_s) == pytest.approx(1.0 - np.exp(-since_s / 10.0), abs=0.01)
        assert share(np.array([-9.0, 0.1, 1e6])).tolist() == [LEAST_SEEN, LEAST_SEEN, 1.0]

"""Which replica is slower than the others, whatever it was given to do."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from tests.unit.capacity_bench import Replica, Request

from poolwright.capacity.paces import GONE_S, LEAST_ENDED, Paces
from poolwright.capacity.speed import Speed, SpeedEstimator, vector

TRUTH = Speed(0.012, 0.0009, 0.02, 0.0002)
REFIT_S = 30.0


def slowed(times: float) -> Speed:
    return Speed(*(times * vector(TRUTH)).tolist())


@dataclass
class Fleet:
    """Replicas that get arrivals by their weights, and what is learned of them."""

    weights: list[float]
    rate: float = 3.0
    """Of all."""
    most: int = 32
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    at: float = 0.0
    speed: SpeedEstimator = field(default_factory=SpeedEstimator)
    paces: Paces = field(default_factory=Paces)

    def __post_init__(self) -> None:
        self.replicas = [Replica(TRUTH, 2048, self.most) for _ in self.weights]

    def run(self, seconds: float, *, listens: bool = True) -> dict[int, float]:
        """Plays so long; returns who is slow in the end."""
        until = self.at + seconds
        refit_at = self.at + REFIT_S
        while self.at < until:
            self.at += float(self.random.exponential(1.0 / self.rate))
            ended = [
                (number, request)
                for number, replica in enumerate(self.replicas)
                for request in replica.run_until(self.at)
            ]
            if listens and ended:
                self.hear(ended)
            share = np.array(self.weights) / sum(self.weights)
            target = self.replicas[int(self.random.choice(len(share), p=share))]
            prompt = 1 + int(self.random.exponential(1200.0))
            answer = 1 + int(self.random.exponential(120.0))
            target.waiting.append(Request(self.at, prompt, answer, prompt))
            if self.at >= refit_at:
                refit_at += REFIT_S
                self.speed.refit(self.at)
                self.paces.compare(self.at, self.speed)
        return self.paces.slow

    def hear(self, ended: list[tuple[int, Request]]) -> None:
        ended.sort(key=lambda item: item[1].end)
        numbers = np.array([number for number, _ in ended], dtype=np.int32)
        at, first, arrived, inputs, outputs = np.array(
            [(r.end, r.first, r.arrived, r.inputs, r.outputs) for _, r in ended]
        ).T
        self.paces.observe(at, numbers, inputs, outputs, at - first)
        odd = self.paces.odd
        self.speed.observe(at, numbers, inputs, outputs, first - arrived, at - first, odd=odd)

    def slow_down(self, number: int, times: float) -> None:
        self.replicas[number].speed = slowed(times)


@pytest.mark.parametrize("times", [1.5, 2.0])
@pytest.mark.parametrize("number", [0, 3], ids=["watched", "not watched"])
def test_the_slow_replica_is_named_with_how_slow_it_is(number, times) -> None:
    fleet = Fleet([1.0] * 5)
    assert fleet.run(900.0) == {}
    fleet.slow_down(number, times)
    slow = fleet.run(600.0)
    assert set(slow) == {number}
    assert slow[number] == pytest.approx(times, rel=0.12)
    # And no longer once it is as the others again.
    fleet.slow_down(number, 1.0)
    assert fleet.run(600.0) == {}


def test_more_load_is_not_slowness_and_slowness_is_found_beneath_less_load() -> None:
    fleet = Fleet([1.0, 1.0, 8.0, 4.0, 0.6], rate=4.0)
    assert fleet.run(1500.0) == {}
    sent = [replica.done[2] for replica in fleet.replicas]
    assert max(sent) > 5.0 * min(sent)
    fleet.slow_down(4, 2.0)
    slow = fleet.run(1200.0)
    assert set(slow) == {4}
    assert slow[4] == pytest.approx(2.0, rel=0.15)


def test_of_a_batch_that_the_model_knows_nothing_of_nothing_is_said() -> None:
    # The two that are watched are always full, the third never is: what an iteration costs alone
    # is the profile's guess, and far from the truth.
    fleet = Fleet([6.0, 6.0, 0.4], rate=12.0, most=24)
    fleet.speed = SpeedEstimator(Speed(0.003, 0.003, 0.02, 0.0002))
    fleet.run(300.0, listens=False)
    assert fleet.run(1200.0) == {}
    few, full = np.array([[80.0, 90.0, 0.3, 400.0]]), np.array([[25.0, 600.0, 2.0, 2400.0]])
    true, believed = (1.0 / float((few @ vector(s))[0]) for s in (TRUTH, fleet.speed.speed))
    assert believed > 2.0 * true
    assert fleet.speed.doubt(full)[0] < 0.08
    assert fleet.speed.doubt(few)[0] > 0.5
    assert np.isnan(fleet.paces._ratios[2]).all()
    assert np.isfinite(fleet.paces._ratios[:2]).all()


def test_the_pools_speed_is_learned_of_those_that_are_not_slow() -> None:
    fleet = Fleet([1.0] * 4)
    fleet.slow_down(0, 2.0)
    fleet.run(2400.0)
    assert set(fleet.paces.slow) == {0}
    assert fleet.paces.odd == fleet.paces.slow
    assert 0 not in fleet.speed._probes
    learned = fleet.speed.speed
    itl_s = learned.itl_base_s + 5.0 * learned.itl_per_request_s
    assert itl_s == pytest.approx(0.0165, rel=0.1)


def test_of_two_the_slow_one_is_named_but_both_are_the_pool() -> None:
    fleet = Fleet([1.0, 1.0], rate=1.5)
    fleet.run(600.0)
    fleet.slow_down(1, 2.0)
    assert set(fleet.run(600.0)) == {1}
    assert fleet.paces.odd == {}
    assert set(fleet.speed._probes) == {0, 1}


def test_when_all_become_slow_none_is_named_because_it_told_first() -> None:
    paces, speed = Paces(), SpeedEstimator()
    speed.speed, speed.requests = Speed(0.02, 1e-9, 1e-9, 1e-12), 1e3
    speed._a = np.diag(1e3 / vector(speed.prior) ** 2)

    def hears(at: float, number: int, times: float) -> None:
        count = int(LEAST_ENDED)
        paces.observe(
            np.full(count, at), np.full(count, number, dtype=np.int32), np.full(count, 500.0),
            np.full(count, 51.0), np.full(count, 50.0 * 0.02 * times),
        )  # fmt: skip

    # The first of four has three times as many requests as each of the others.
    for turn in range(60):
        at, times = 30.0 * turn, 1.0 if turn < 30 else 1.8
        hears(at, 0, times)
        if turn % 3 == 0:
            for number in (1, 2, 3):
                hears(at, number, times)
        paces.compare(at, speed)
        assert paces.slow == {}
    assert paces._ratios == pytest.approx(1.8)
    # The same of that one alone.
    for turn in range(60, 64):
        hears(30.0 * turn, 0, 3.6)
        paces.compare(30.0 * turn, speed)
    assert paces.slow == {0: pytest.approx(2.0)}


def test_a_replica_alone_is_no_slower_than_the_others() -> None:
    fleet = Fleet([1.0], rate=0.8)
    fleet.run(600.0)
    fleet.slow_down(0, 3.0)
    assert fleet.run(400.0) == {}


def test_a_replica_that_is_gone_is_forgotten() -> None:
    fleet = Fleet([1.0] * 4)
    fleet.run(600.0)
    fleet.slow_down(2, 2.0)
    assert set(fleet.run(600.0)) == {2}
    fleet.weights[2] = 0.0
    assert fleet.run(GONE_S + 120.0) == {}
    assert fleet.paces._numbers.tolist() == [0, 1, 3]
    assert fleet.paces._sums.shape == (3, 7)
    assert fleet.paces._ratios.shape == (3, 5)


def test_too_few_requests_tell_nothing() -> None:
    paces, speed = Paces(), SpeedEstimator()
    speed.requests = 100.0
    for block in range(10):
        for number, itl_s in enumerate((0.02, 0.09)):
            count = int(LEAST_ENDED) - 1 if block % 2 else 1
            at = np.full(count, 100.0 * block + 1.0)
            paces.observe(
                at, np.full(count, number, dtype=np.int32), np.full(count, 500.0),
                np.full(count, 51.0), np.full(count, 50.0 * itl_s),
            )  # fmt: skip
        if block % 2:
            paces._sums[:, 2:6] = np.minimum(paces._sums[:, 2:6], LEAST_ENDED - 1.0)
        paces.compare(100.0 * block + 60.0, speed)
        assert paces.slow == {}


def test_what_cannot_be_known_is_left_out() -> None:
    paces = Paces()
    nan = np.array([np.nan])
    paces.observe(np.ones(1), np.zeros(1, dtype=np.int32), nan, np.ones(1), np.ones(1))
    assert not len(paces._numbers)
    paces.compare(10.0, SpeedEstimator())
    assert paces.slow == {}


def test_a_few_are_observed_as_if_they_were_many(monkeypatch) -> None:
    random = np.random.default_rng(6)
    one_by_one, at_once = Paces(), Paces()
    for _ in range(200):
        count = int(random.integers(1, 9))
        at, replica = 60.0 * random.random(count), random.integers(0, 5, count).astype(np.int32)
        figures = random.random((3, count)) * 100.0
        figures[random.random((3, count)) < 0.05] = np.nan
        one_by_one.observe(at, replica, *figures)
        with monkeypatch.context() as patched:
            patched.setattr("poolwright.capacity.paces.FEW", 0)
            at_once.observe(at, replica, *figures)
    assert one_by_one._table.tobytes() == at_once._table.tobytes()

"""What is said of a pool's speed: only what no better knowledge of it explains."""

import re
from itertools import pairwise

import numpy as np
import pytest
from tests.unit.capacity_bench import simulate

from poolwright.capacity.drift import PATIENCE, USUAL_AFTER, Drift
from poolwright.capacity.speed import PRIOR, Shown, Speed, SpeedEstimator, vector
from poolwright.model.names import NameTable

ALL = r"requests take (.+) times as long as before"
NAMES = NameTable(("gpu-0", "gpu-1", "gpu-2", "gpu-3", "gpu-4", "gpu-5"))
ALL = r"requests take (.+) times as long as before"
NAMES = NameTable(("gpu-0", "gpu-1", "gpu-2", "gpu-3", "gpu-4", "gpu-5"))
ITL = r"time between tokens (.+) ms in a batch of \d+, was (.+) ms"
PREFILL = r"prefill (.+) ms for \d+ tokens, was (.+) ms"


def slower(factor: float, *, decode: bool = True, prefill: bool = True) -> np.ndarray:
    return np.where([decode, decode, prefill, prefill], factor, 1.0)


def shown(
    random: np.random.Generator,
    *factors: np.ndarray,
    batch: tuple[float, float] = (4.0, 24.0),
    truth: Speed = PRIOR,
    count: int = 40,
    load: float = 1.0,
    alone: int = 0,
) -> Shown:
    """So many requests of each replica that has its factors; `alone` did nothing but a prefill."""
    rows = []
    for replica, factor in enumerate(factors):
        iterations = random.uniform(50.0, 400.0, count)
        prefills = load * iterations * random.uniform(0.02, 0.1, count)
        prompts = prefills * random.uniform(500.0, 2000.0, count)
        iterations[:alone] = 0.0
        tokens = iterations * random.uniform(*batch, count)
        did = np.column_stack((iterations, tokens, prefills, prompts))
        took = did @ (vector(truth) * factor) * random.normal(1.0, 0.03, count)
        rows.append((np.full(count, replica, dtype=np.int32), did / took[:, None]))
    replicas, per_second = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Shown(replicas, per_second, np.ones(len(replicas)), range(len(factors)))


def note(drift: Drift, refits: int, *factors: np.ndarray, slow=None, **how) -> list[str]:
    random = np.random.default_rng(refits)
    words = []
    for _ in range(refits):
        drift.note(shown(random, *factors, **how), PRIOR, slow or {}, NAMES)
        words.append(drift.words)
    return words


def settled(*, refits: int = 25, **how) -> Drift:
    drift = Drift()
    assert not any(note(drift, refits, *[slower(1.0)] * 2, **how))
    return drift


# --- true drift is said ------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 1.4, 2.0])
def test_a_change_of_all_replicas_is_said_and_how_large_it_is(factor) -> None:
    drift = settled()
    soon = re.fullmatch(ALL, note(drift, 10, *[slower(factor)] * 2)[-1])
    assert soon is not None, drift.words
    assert 0.2 < np.log(float(soon[1])) / np.log(factor) < 1.2
    later = re.fullmatch(ALL, note(drift, 20, *[slower(factor)] * 2)[-1])
    assert later is not None, drift.words
    assert float(later[1]) == pytest.approx(factor, rel=0.06)


@pytest.mark.parametrize(("decode", "part"), [(True, "decoding"), (False, "prefill")])
def test_a_part_that_changes_alone_is_said_alone_once_that_is_sure(decode, part) -> None:
    drift = settled(refits=80, alone=10)
    some = [slower(1.6, decode=decode, prefill=not decode)] * 2
    # At first, a prefill may be the first to tell of what answers will tell, too.
    soon = note(drift, PATIENCE, *some, alone=10)
    assert {re.sub(r"[\d.]+", "N", text) for text in soon} <= {"", ALL.replace("(.+)", "N")}
    later = re.fullmatch(f"{part} takes (.+) times as long as before",
                         note(drift, 20, *some, alone=10)[-1])  # fmt: skip
    assert later is not None, drift.words
    assert float(later[1]) == pytest.approx(1.6, rel=0.06)
    # Where it cannot be told which it was, none is blamed.
    drift = settled(load=3.0)
    assert re.fullmatch(ALL, note(drift, 30, *some, load=3.0)[-1])


def test_it_is_said_until_it_is_over_or_has_been_so_for_an_hour() -> None:
    drift = settled()
    assert note(drift, 5, slower(1.5), slower(1.5))[-1]
    kept = drift.words
    drift.note(None, PRIOR, {}, NAMES)
    assert drift.words == kept
    assert not note(drift, 12, slower(1.0), slower(1.0))[-1]
    # For an hour: then it is what is usual, and the old speed is the news.
    words = note(drift, USUAL_AFTER + 40, slower(1.5), slower(1.5))
    said = [bool(text) for text in words]
    assert sum(before != after for before, after in pairwise(said)) == 2
    assert abs(sum(said) - USUAL_AFTER) <= 2
    assert note(drift, 10, slower(1.0), slower(1.0))[-1]


# --- what is said is true ----------------------------------------------------------------------


def test_nothing_is_said_before_it_is_known_what_is_usual() -> None:
    drift = Drift()
    assert not any(note(drift, 5, slower(1.0)) + note(drift, 4, slower(2.0)))
    # Nor of a handful of requests.
    drift = Drift()
    assert not any(note(drift, 12, slower(1.0), count=3) + note(drift, 3, slower(2.0), count=3))
    drift = settled()
    assert not any(note(drift, 12, slower(2.0), count=1)[:2])


@pytest.mark.parametrize(
    "truth", [Speed(0.008, 0.0012, 0.01, 0.0001), Speed(0.03, 0.0002, 0.02, 0.0003)]
)
def test_a_full_batch_that_told_nothing_of_others_is_no_drift_once_they_come(truth) -> None:
    drift = settled(batch=(63.0, 65.0), truth=truth)
    assert not any(note(drift, 40, *[slower(1.0)] * 2, batch=(2.0, 10.0), truth=truth))
    # But then, a change is one.
    assert note(drift, 10, *[slower(1.4)] * 2, batch=(2.0, 10.0), truth=truth)[-1]


def test_requests_of_another_kind_are_no_drift() -> None:
    drift = settled(load=0.1)
    assert not any(note(drift, 40, *[slower(1.0)] * 2, load=3.0))


def test_one_replica_that_is_slow_is_no_drift_of_the_pool() -> None:
    drift = settled()
    assert not any(note(drift, 30, slower(1.0), slower(2.0)))
    # Once it is named, it has no say at all, and the pool is judged by the others.
    words = note(drift, 20, slower(1.0), slower(2.0), slow={1: 1.96})
    assert set(words) == {"replica gpu-1 takes 2.0 times as long as the others"}
    words = note(drift, 10, slower(1.5), slower(3.0), slow={1: 1.96})
    assert re.fullmatch(f"{ALL}; replica gpu-1 takes 2.0 .*", words[-1])
    # Where nothing but slow ones is seen, nothing is said of the pool.
    assert note(drift, 2, slower(9.0), slow={0: 9.0})[-1].startswith("replica gpu-0 takes 9.0")


def test_of_many_slow_replicas_the_slowest_are_named() -> None:
    drift = Drift()
    drift.note(None, PRIOR, {1: 1.5, 2: 3.0, 3: 1.4, 4: 2.0, 5: 1.6}, NAMES)
    first, *more = drift.words.split("; ")
    assert first == "replica gpu-2 takes 3.0 times as long as the others"
    assert [text.split()[1] for text in more] == ["gpu-4", "gpu-5", "do"]
    assert more[-1] == "so do 2 more"


def test_a_replica_that_is_watched_no_longer_is_forgotten() -> None:
    drift = settled()
    note(drift, 30, slower(1.0), count=4)
    assert drift._watched == (0,)
    assert drift._seen.shape == (2, 5, 5)


# --- with the estimator that feeds it ----------------------------------------------------------


def said(*phases: dict[str, np.ndarray]) -> list[tuple[float, str]]:
    """What is said of phases that follow one another, by second."""
    estimator, drift, words, began = SpeedEstimator(), Drift(), [], 0.0
    for phase in phases:
        last = float(phase["ended"][-1])
        for start in np.arange(0.0, last, 30.0):
            mine = (phase["ended"] > start) & (phase["ended"] <= start + 30.0)
            some = {name: column[mine] for name, column in phase.items()}
            estimator.observe(
                began + some["ended"], some["replica"].astype(np.int32), some["inputs"],
                some["outputs"], some["ttft"], some["decode"],
            )  # fmt: skip
            at = began + float(start) + 30.0
            drift.note(estimator.refit(at), PRIOR, {}, NAMES)
            if not words or words[-1][1] != drift.words:
                words.append((at, drift.words))
        began += last
    return words


TRUTH = Speed(0.012, 0.0009, 0.02, 0.0002)
TWICE = Speed(*(1.4 * vector(TRUTH)))
LOAD = {"replicas": 2, "inputs": 1500.0, "outputs": 120.0, "chunk": 2048}


def test_a_cold_start_under_overload_is_no_drift_and_a_slower_model_after_it_is() -> None:
    full = simulate(TRUTH, rate=9.0, seconds=500.0, most=24, **LOAD)
    calm = simulate(TRUTH, rate=1.5, seconds=900.0, most=24, seed=2, **LOAD)
    assert {text for _, text in said(full, calm)} == {""}
    slow = simulate(TWICE, rate=1.5, seconds=600.0, most=24, seed=3, **LOAD)
    changed = [at for at, text in said(full, calm, slow) if text]
    since_s = float(full["ended"][-1] + calm["ended"][-1])
    assert 0.0 < changed[0] - since_s < 300.0

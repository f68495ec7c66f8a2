"""Arrivals by second: what is unknown is not zero, and the rings forget in time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.capacity.demand import (
    AHEAD_S,
    GAP_S,
    HISTORY_S,
    MOST_CLASSES,
    PRIOR_INPUT_TOKENS,
    PRIOR_OUTPUT_TOKENS,
    ClassDemand,
    Demand,
)

CHAT, BATCH = 4, 9
NAN = float("nan")


def arrive(demand: Demand, *at: float, tokens: float = 100.0, request_class: int = CHAT) -> None:
    demand.arrived(np.array(at), np.full(len(at), request_class), np.full(len(at), tokens))


def started(at: float = 1000.0) -> Demand:
    demand = Demand()
    demand.advance(at)
    return demand


def counts(demand: Demand, last: int, **shares: float) -> list[float]:
    return demand.stream({CHAT: 1.0}, last).requests.tolist()


def test_arrivals_count_in_their_seconds() -> None:
    demand = started()
    demand.advance(1003.9)
    arrive(demand, 1001.0, 1001.99, 1003.5)
    assert demand.seconds == 4
    assert counts(demand, 4) == [0, 2, 0, 1]
    assert demand.stream({CHAT: 1.0}, 4).input_tokens.tolist() == [0, 200, 0, 100]


def test_arrivals_after_a_second_has_passed_still_count_in_it() -> None:
    demand = started()
    demand.advance(1010.0)
    arrive(demand, 1010.0, 1004.0)
    assert counts(demand, 7) == [1, 0, 0, 0, 0, 0, 1]


def test_an_arrival_of_a_clock_ahead_counts_when_its_second_comes() -> None:
    demand = started()
    arrive(demand, 1002.0, 1000.0 + AHEAD_S, 1001.0 + AHEAD_S)
    assert counts(demand, 1) == [0]
    demand.advance(1002.0)
    assert counts(demand, 1) == [1]
    demand.advance(1001.0 + AHEAD_S)
    # The last one was too far ahead, and is left out.
    assert counts(demand, 2) == [1, 0]


def test_arrivals_before_the_history_are_left_out() -> None:
    demand = started(10_000.0)
    arrive(demand, 10_000.0 - HISTORY_S, 10_001.0 - HISTORY_S)
    demand.since = 0
    assert demand.seconds == HISTORY_S
    assert counts(demand, HISTORY_S)[0] == 1
    assert sum(counts(demand, HISTORY_S)) == 1


@pytest.mark.parametrize("jump", [1, 59, HISTORY_S - 1, HISTORY_S, HISTORY_S + 5, 10 * HISTORY_S])
def test_the_rings_forget_what_is_older_than_the_history(jump) -> None:
    demand = started()
    arrive(demand, 1000.0)
    demand.hear(np.array([1000.0]))
    demand.advance(1000.0 + jump)
    seen = counts(demand, demand.seconds)
    assert demand.seconds == min(jump + 1, HISTORY_S)
    assert seen == ([1.0] if jump < HISTORY_S else [0.0]) + [0.0] * (demand.seconds - 1)
    heard = [second for second in range(GAP_S + 1) if jump - HISTORY_S < second <= jump]
    assert demand.known(demand.seconds).sum() == len(heard)


def test_the_rings_hold_an_hour_and_wrap_around() -> None:
    demand = started(0.0)
    rng = np.random.default_rng(1)
    truth = rng.poisson(2.0, HISTORY_S + 700)
    for second, count in enumerate(truth.tolist()):
        demand.advance(float(second))
        demand.hear(np.array([float(second)]))
        arrive(demand, *[second + 0.5] * count)
    assert counts(demand, HISTORY_S) == truth[-HISTORY_S:].tolist()
    assert demand.known(HISTORY_S).all()


def test_time_does_not_go_back() -> None:
    demand = started()
    arrive(demand, 1000.0)
    demand.advance(990.0)
    assert (demand.newest, counts(demand, 1)) == (1000, [1])


def test_telemetry_every_few_seconds_covers_the_seconds_between() -> None:
    demand = started()
    for at in range(1000, 1061, 15):
        demand.advance(float(at))
        demand.hear(np.array([float(at)]))
    demand.advance(1065.0)
    assert demand.known(66).all()


def test_an_outage_is_unknown_and_not_quiet() -> None:
    demand = started()
    demand.hear(np.array([1000.0]))
    demand.advance(1100.0)
    demand.hear(np.array([1100.0]))
    known = demand.known(101)
    assert known[: GAP_S + 1].all()
    assert not known[GAP_S + 1 : 100].any()
    assert known[100]


def test_telemetry_of_an_outage_that_comes_late_fills_it() -> None:
    demand = started()
    demand.advance(1100.0)
    demand.hear(np.arange(1000.0, 1101.0, 20.0))
    assert demand.known(101).all()
    demand.hear(np.array([1000.0 - HISTORY_S - GAP_S]))
    assert demand.known(101).all()


def test_nothing_is_known_before_it_began() -> None:
    demand = Demand()
    demand.hear(np.array([1000.0]))
    demand.advance(1000.0)
    demand.hear(np.empty(0))
    assert not demand.known(1).any()
    assert Demand().seconds == 0


def test_arrivals_without_tokens_are_as_long_as_the_mean() -> None:
    demand = started()
    arrive(demand, 1000.0, tokens=NAN)
    assert demand.stream({CHAT: 1.0}, 1).input_tokens[0] == PRIOR_INPUT_TOKENS
    demand.of(CHAT).answered(np.array([40.0, 60.0]), np.array([10.0, 30.0]))
    demand.advance(1001.0)
    arrive(demand, 1001.0, tokens=NAN)
    found = demand.stream({CHAT: 1.0}, 1)
    assert (found.input_tokens[0], found.output_tokens[0]) == (50.0, 20.0)


def test_classes_count_apart_and_by_their_shares() -> None:
    demand = started()
    arrive(demand, 1000.0, 1000.0, tokens=100.0)
    arrive(demand, 1000.0, tokens=7000.0, request_class=BATCH)
    demand.of(BATCH).answered(np.array([7000.0]), np.array([5.0]))
    assert demand.stream({CHAT: 1.0}, 1).requests[0] == 2
    both = demand.stream({CHAT: 0.5, BATCH: 1.0}, 1)
    assert (both.requests[0], both.input_tokens[0]) == (2.0, 7100.0)
    assert both.output_tokens[0] == PRIOR_OUTPUT_TOKENS + 5.0
    assert demand.stream({}, 1).requests[0] == 0


def test_the_length_of_answers_is_learned_and_follows() -> None:
    known = ClassDemand()
    known.answered(np.full(3, NAN), np.full(3, NAN))
    assert (known.output_tokens, known.mean_input_tokens) == (PRIOR_OUTPUT_TOKENS, 500.0)
    known.answered(np.full(50, 30.0), np.full(50, 80.0))
    assert (known.output_tokens, known.mean_input_tokens) == (80.0, 30.0)
    for _ in range(100):
        known.answered(np.full(500, 30.0), np.full(500, 160.0))
    assert known.output_tokens == pytest.approx(160.0, rel=0.01)


def test_prompts_without_answers_do_not_divide_by_nothing() -> None:
    known = ClassDemand()
    known.answered(np.array([30.0]), np.array([NAN]))
    assert known.mean_input_tokens == 30.0


@given(
    st.lists(
        st.tuples(st.integers(0, 900), st.lists(st.integers(-4000, 400), max_size=3)), max_size=12
    )
)
def test_heard_is_what_lies_within_a_gap_after_telemetry(steps) -> None:
    demand, now, covered = Demand(), 10_000, set()
    demand.advance(now)
    for moved, ago in steps:
        now += moved
        demand.advance(now)
        demand.hear(np.array([now + second for second in ago], dtype=np.float64))
        for second in ago:
            if now + second > now - HISTORY_S - GAP_S:
                covered |= set(range(now + second, min(now + second + GAP_S, now + AHEAD_S) + 1))
        wanted = [second in covered for second in range(now - HISTORY_S + 1, now + 1)]
        assert demand.known(HISTORY_S).tolist() == wanted
    assert len(demand.heard) <= (HISTORY_S + AHEAD_S) / GAP_S


def test_classes_that_nobody_asks_for_any_more_are_forgotten_where_they_are_many() -> None:
    demand = started()
    for number in range(MOST_CLASSES + 5):
        arrive(demand, 1000.0, request_class=number)
    for second in range(1000, 1000 + HISTORY_S, 100):
        demand.advance(float(second))
        arrive(demand, float(second), request_class=3)
        assert len(demand.classes) == MOST_CLASSES + 5
    for second in range(1000 + HISTORY_S, 2300 + HISTORY_S, 100):
        demand.advance(float(second))
        arrive(demand, float(second), request_class=3)
    assert set(demand.classes) == {3}


def test_few_classes_are_remembered_however_quiet() -> None:
    demand = started()
    arrive(demand, 1000.0)
    for second in range(1000, 9000, 100):
        demand.advance(float(second))
    assert set(demand.classes) == {CHAT}

"""What the regression keeps of a request is what it was told."""

import numpy as np
import pytest

from poolwright.capacity.kept import ARRIVED, END, FIRST, INPUT, KeptRequests

AT = 1_700_000_000.0


def kept(at, spans_s, tokens=None) -> KeptRequests:
    found = KeptRequests()
    count = len(at)
    tokens = np.full((count, 2), 100.0) if tokens is None else np.array(tokens, float)
    replicas = np.arange(count, dtype=np.int32)
    ttft_s, decode_s = np.array(spans_s, float).T
    found.add(replicas, np.array(at, float), ttft_s, decode_s, tuple(tokens.T))
    return found


def test_nothing_is_lost_of_the_times_of_our_epoch() -> None:
    random = np.random.default_rng(1)
    at, spans_s = AT + random.random(300) * 60.0, random.random((300, 2)) * 200.0
    rows = kept(at, spans_s, [(16_776_916.0, 300.0)] * 300).rows()
    first = at - spans_s[:, 1]
    replicas = np.arange(300.0)
    exact = np.column_stack(
        (replicas, first - spans_s[:, 0], first, at, [16_776_916.0] * 300, [300.0] * 300)
    )
    assert (rows == exact).all()


def test_other_times_keep_their_order_and_what_happened_at_once() -> None:
    random = np.random.default_rng(2)
    at, span_s = random.integers(1, 9, 300) / 1e7, random.integers(0, 9, 300) / 1e7
    rows = kept(at, [(0.0, s) for s in span_s]).rows()
    before, after = (
        np.concatenate((at - span_s, at)),
        np.concatenate((rows[:, FIRST], rows[:, END])),
    )
    order = before.argsort(kind="stable")
    assert (np.diff(after[order]) >= 0.0).all()
    assert (np.diff(after[order]) > 0.0).sum() >= 2


def test_large_numbers_cost_more_only_while_they_are_kept() -> None:
    found = kept([AT, AT], [(1.0, 1.0)] * 2, [(70_000.0, 1.0), (0.5, 1.0)])
    assert found.rows()[:, INPUT].tolist() == [70_000.0, 0.5]
    one = np.ones(1)
    found.add(np.zeros(1, np.int32), AT + one, one, one, (65_535 * one, one))
    assert found._told.itemsize == 4
    found.keep(1)
    assert found._told.itemsize == 2
    assert found.rows()[:, INPUT].tolist() == [65_535.0]


def test_requests_of_hours_are_kept_and_cost_more_only_while_they_are() -> None:
    found = kept([AT, AT + 1.0], [(5000.0, 1.0), (1.0, 9000.0)])
    assert found.rows()[:, ARRIVED].tolist() == [AT - 5001.0, AT - 9000.0]
    one = np.ones(2)
    found.add(np.zeros(2, np.int32), AT + one, one, one, (one, one))
    assert found._spans.itemsize == 8
    found.keep(2)
    assert found._spans.itemsize == 4
    assert found.rows()[:, ARRIVED].tolist() == [AT - 1.0, AT - 1.0]


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 1e12])
def test_what_tells_nothing_or_absurd_things_is_left_out(odd) -> None:
    found = kept([AT] * 5, [(odd, 1.0), (1.0, odd), (1.0, 1.0), (1.0, 1.0), (1.0, 1.0)],
                 [(1, 1), (1, 1), (odd, 1), (1, odd), (7, 1)])  # fmt: skip
    assert found.rows()[:, INPUT].tolist() == [7.0]


def test_the_oldest_go_and_their_memory_with_the_next() -> None:
    found = kept(AT + np.arange(100.0), [(0.1, 0.1)] * 100)
    assert found.since(AT + 96.0) == 3
    found.keep(3)
    one = np.ones(1)
    found.add(np.zeros(1, np.int32), AT + 100 * one, one, one, (one, one))
    assert found.rows()[:, END].tolist() == [AT + 97.0, AT + 98.0, AT + 99.0, AT + 100.0]
    arrays = [getattr(found, slot) for slot in KeptRequests.__slots__]
    assert all(array.base is None for array in arrays)
    assert sum(array.nbytes for array in arrays) == 4 * 22


def test_a_few_are_kept_as_if_they_were_many(monkeypatch) -> None:
    random = np.random.default_rng(5)
    odd = [np.nan, -np.inf, 3e9, 5000.0, -1.0, 0.0]
    for count in range(1, 9):
        at = AT + random.random((40, count)) * 60.0
        spans_s = random.random((40, count, 2)) * 200.0
        tokens = random.integers(0, 5000, (40, count, 2)).astype(float)
        tokens[10, 0], tokens[20, -1, 0] = 70_000.0, 0.5
        for number, seconds in enumerate(odd):
            spans_s[30 + number, 0, 1] = seconds
        pairs = list(zip(at, spans_s, tokens, strict=True))
        with np.errstate(invalid="ignore"):
            one_by_one = [kept(*of) for of in pairs]
            with monkeypatch.context() as patched:
                patched.setattr("poolwright.capacity.kept.FEW", 0)
                at_once = [kept(*of) for of in pairs]
        for one, other in zip(one_by_one, at_once, strict=True):
            for slot in KeptRequests.__slots__:
                mine, its = getattr(one, slot), getattr(other, slot)
                assert (mine.dtype, mine.tobytes()) == (its.dtype, its.tobytes())

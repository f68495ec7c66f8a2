"""Rings hold the same numbers in as few bytes as these need."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.capacity import narrow

batches = st.lists(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 400) | st.just(70_000) | st.just(0.25)),
        min_size=1, max_size=20,
    ),
    max_size=5,
)  # fmt: skip


@given(batches, st.integers(0, 30))
def test_sums_are_those_of_floats(found, first) -> None:
    ring, floats = narrow.zeros(20), np.zeros(20, dtype=np.float32)
    for batch in found:
        offset, amounts = np.array([b[0] for b in batch]), np.array([b[1] for b in batch], float)
        ring = narrow.add(ring, first, offset, amounts)
        np.add.at(floats, (first + offset) % 20, amounts)
    assert ring.tolist() == floats.tolist()
    assert narrow.narrowed(ring).tolist() == floats.tolist()


@pytest.mark.parametrize(("most", "bytes_each"), [(255, 1), (256, 2), (65_535, 2), (65_536, 4)])
def test_as_many_bytes_as_the_largest_needs(most, bytes_each) -> None:
    offset = np.zeros(most, dtype=np.int64)
    counted = narrow.add(narrow.zeros(5), 7, offset)
    assert counted.tolist() == [0, 0, most, 0, 0], "nothing is clipped"
    assert counted.itemsize == bytes_each
    given_at_once = narrow.put(narrow.zeros(5), np.array([1, 4]), most)
    assert given_at_once.tolist() == [0, most, 0, 0, most]
    assert given_at_once.itemsize == bytes_each


def test_a_ring_is_narrow_again_when_nothing_needs_the_width() -> None:
    ring = narrow.add(narrow.zeros(5), 0, np.array([3]), np.array([70_000.0]))
    ring[3] = 0
    assert narrow.narrowed(ring).itemsize == 1
    assert narrow.narrowed(np.array([0.5, 2.0], dtype=np.float32)).itemsize == 4


def test_fractions_are_floats() -> None:
    ring = narrow.add(narrow.zeros(3), 0, np.array([1, 1]), np.array([1.0, 1 / 3]))
    assert ring.tolist() == [0.0, float(np.float32(1.0) + np.float32(1 / 3)), 0.0]

"""Every message counts once, and a commit never undoes another instance's."""

import pytest

from poolwright.telemetry.offsets import Offsets
from poolwright.telemetry.source import TopicPartition

P = TopicPartition("telemetry", 0)
Q = TopicPartition("telemetry", 1)


def holding(held: int) -> Offsets:
    offsets = Offsets()
    offsets.restore({P: held})
    offsets.assign([P])
    return offsets


def test_what_the_state_holds_is_dropped_when_it_is_read_again() -> None:
    offsets = holding(100)
    assert offsets.admit(P, 90, 94, 110) == 100  # none of them
    assert offsets.next_of(P) == 100
    assert offsets.admit(P, 95, 104, 110) == 100
    assert offsets.admit(P, 105, 109, 110) == 105
    assert offsets.next_of(P) == 110


def test_a_gap_in_the_log_is_no_loss() -> None:
    offsets = holding(100)
    assert offsets.admit(P, 130, 139, 140) == 130


def test_a_commit_that_failed_is_made_up_for_once_the_group_is_known_to_be_behind() -> None:
    offsets = holding(100)
    assert offsets.to_commit({P: 100}) == {}  # nobody knows yet where the group is
    offsets.admit(P, 90, 94, 110)
    assert offsets.to_commit({P: 100}) == {P: 100}


def test_what_another_instance_committed_is_never_taken_back() -> None:
    offsets = holding(100)
    offsets.revoke()
    offsets.assign([P])
    assert offsets.to_commit({P: 100}) == {}
    offsets.admit(P, 200, 204, 210)  # another instance had gone on to 200
    assert offsets.to_commit({P: 100}) == {}
    offsets.take({P: 205})
    assert offsets.to_commit({P: 205}) == {P: 205}


def test_partitions_that_are_not_assigned_are_never_committed() -> None:
    offsets = holding(100)
    offsets.admit(P, 100, 104, 105)
    offsets.take({P: 105})
    offsets.revoke()
    assert P not in offsets
    assert offsets.to_commit({P: 105, Q: 7}) == {}


def test_a_topic_made_anew_is_read_although_its_offsets_are_old() -> None:
    offsets = holding(1000)
    assert offsets.admit(P, 0, 9, 10) == 0
    assert offsets.next_of(P) == 10
    assert offsets.to_commit({P: 10}) == {P: 10}


@pytest.mark.parametrize("end", [None, 110])
def test_lag_is_unknown_until_something_was_read(end: int | None) -> None:
    offsets = holding(100)
    assert offsets.lag(P, end) is None
    offsets.admit(P, 100, 104, end)
    assert offsets.lag(P, end) == (None if end is None else 10)
    offsets.take({P: 105})
    assert offsets.lag(P, end) == (None if end is None else 5)


def test_lag_is_not_counted_from_an_earlier_assignment() -> None:
    offsets = holding(100)
    offsets.admit(P, 100, 104, 105)
    offsets.take({P: 105})
    offsets.revoke()
    offsets.assign([P])
    assert offsets.lag(P, 300) is None  # others may have read up to the end

"""Counting replicas from pods, without a cluster."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.actuation.kubernetes.pods import Counts, Pod, counted, pod_of, why_unplaced

READY = Pod("a", "1", "a", ready=True, leaving=False, ended=False)


def pods(*many: dict[str, object]) -> list[Pod]:
    return [replace(READY, name=str(i), **{"group": str(i), **one}) for i, one in enumerate(many)]


@pytest.mark.parametrize(
    ("found", "desired", "size", "counts"),
    [
        (pods(), 2, 1, Counts(0, 0)),
        (pods({}, {"ready": False}), 2, 1, Counts(1, 0)),
        (pods({}, {"leaving": True}), 1, 1, Counts(1, 1)),
        (pods({}, {"ended": True, "ready": False}), 1, 1, Counts(1, 0)),
        (pods({}, {"ended": True, "leaving": True}), 1, 1, Counts(1, 0)),
        # More than ordered: whichever go, so many do, and none counts twice.
        (pods({}, {}, {}), 1, 1, Counts(1, 2)),
        (pods({}, {}, {"leaving": True}), 1, 1, Counts(1, 2)),
        # Groups of two: all of its pods make one.
        (pods({"group": "0"}, {"group": "0"}, {"group": "1"}), 2, 2, Counts(1, 0)),
        (pods({"group": "0"}, {"group": "0", "ready": False}), 1, 2, Counts(0, 0)),
        # A group that is made anew leaves and starts.
        (pods({"group": "0", "leaving": True}, {"group": "0", "ready": False}), 1, 2, Counts(0, 1)),
    ],
)
def test_counts(found, desired, size, counts):
    assert counted(found, desired, size) == counts


flags = st.fixed_dictionaries({name: st.booleans() for name in ("ready", "leaving", "ended")})


@settings(deadline=None)
@given(st.lists(flags, max_size=12), st.integers(0, 12))
def test_no_replica_counts_twice(found, desired):
    counts = counted(pods(*found), desired, 1)
    running = sum(not pod["ended"] for pod in found)
    assert 0 <= counts.ready <= desired
    assert counts.ready + counts.terminating <= running


def test_the_schedulers_words_are_told_once_the_commonest_first():
    found = pods(
        {"unplaced": "no node has it", "unplaced_since": 5.0},
        {"unplaced": "no GPU", "unplaced_since": 5.0},
        {"unplaced": "no GPU", "unplaced_since": 6.0},
        {"unplaced": "just now", "unplaced_since": 11.0},
        {"unplaced": "leaves anyway", "leaving": True},
    )
    assert why_unplaced(found, before=10.0) == "2 pods: no GPU; no node has it"
    assert why_unplaced(found, before=1.0) == ""


def test_what_is_kept_of_a_pod():
    raw = {
        "metadata": {
            "name": "chat-0-1",
            "resourceVersion": "7",
            "labels": {"leaderworkerset.sigs.k8s.io/group-index": "0"},
            "deletionTimestamp": "2026-01-01T00:00:00Z",
        },
        "status": {
            "phase": "Pending",
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "no GPU",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }
            ],
        },
    }
    assert pod_of(raw) == Pod(
        "chat-0-1",
        "7",
        "0",
        ready=False,
        leaving=True,
        ended=False,
        unplaced="no GPU",
        unplaced_since=1767225600.0,
    )


def test_a_pod_that_nobody_has_tried_to_place_is_not_short():
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]
    raw = {
        "metadata": {"name": "a", "resourceVersion": "7"},
        "status": {"conditions": conditions},
    }
    assert pod_of(raw).unplaced == ""
    assert pod_of({"metadata": raw["metadata"]}) == replace(READY, version="7", ready=False)

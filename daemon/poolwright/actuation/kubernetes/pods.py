"""What the pods of an object tell: how many replicas serve, which of them leave, why some wait.

A replica is a pod, or a group of them (LeaderWorkerSet): a group serves when all of its pods do.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

GROUP_INDEX: Final = "leaderworkerset.sigs.k8s.io/group-index"
"""Label of a LeaderWorkerSet's pods: the group that one belongs to."""
ENDED: Final = frozenset({"Succeeded", "Failed"})
"""Phases of pods that run no more, evicted ones among them."""


@dataclass(frozen=True, slots=True)
class Pod:
    """What of a pod is kept."""

    name: str
    version: str
    group: str
    """Of a LeaderWorkerSet; else its own name."""
    ready: bool
    leaving: bool
    """It has been deleted and uses its grace period."""
    ended: bool
    unplaced: str = ""
    """The scheduler's words why no node takes it; '' when one did, or nobody has tried yet."""
    unplaced_since: float = 0.0
    """Seconds since the epoch when it was said first."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Replicas by what they do. Those beyond the count that was ordered are on their way out."""

    ready: int
    terminating: int


def pod_of(raw: dict[str, Any]) -> Pod:
    """A pod as the API tells it; KeyError or TypeError when it is none."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    placed = conditions.get("PodScheduled", {})
    unplaced = placed.get("status") == "False" and placed.get("reason") == "Unschedulable"
    name = metadata["name"]
    return Pod(
        name=name,
        version=metadata["resourceVersion"],
        group=(metadata.get("labels") or {}).get(GROUP_INDEX, name),
        ready=conditions.get("Ready", {}).get("status") == "True",
        leaving=metadata.get("deletionTimestamp") is not None,
        ended=status.get("phase") in ENDED,
        unplaced=str(placed.get("message", "Unschedulable")) if unplaced else "",
        unplaced_since=_seconds(placed.get("lastTransitionTime")) if unplaced else 0.0,
    )


def counted(pods: Iterable[Pod], desired: int, size: int) -> Counts:
    """Of replicas of `size` pods each. A group may have pods that leave beside new ones."""
    staying: dict[str, list[Pod]] = defaultdict(list)
    leaving: set[str] = set()
    for pod in pods:
        if pod.ended:
            continue
        if pod.leaving:
            leaving.add(pod.group)
        else:
            staying[pod.group].append(pod)
    ready = sum(
        len(group) >= size and all(pod.ready for pod in group) for group in staying.values()
    )
    return of_totals(len(staying), ready, desired, len(leaving))


def of_totals(existing: int, ready: int, desired: int, leaving: int = 0) -> Counts:
    """Whichever go when more exist than were ordered, so many do: none counts twice."""
    surplus = max(0, existing - desired)
    return Counts(ready=min(ready, desired), terminating=leaving + surplus)


def why_unplaced(pods: Iterable[Pod], before: float) -> str:
    """The scheduler's words, the commonest first, of pods that it has had no node for since then.

    '' when there are none.
    """
    words = Counter(
        pod.unplaced
        for pod in pods
        if pod.unplaced and not pod.leaving and pod.unplaced_since <= before
    )
    return "; ".join(
        f"{count} pods: {said}" if count > 1 else said
        for said, count in sorted(words.items(), key=lambda one: (-one[1], one[0]))
    )


def _seconds(stamp: str | None) -> float:
    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0

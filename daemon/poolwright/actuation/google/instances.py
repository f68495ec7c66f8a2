"""Which instances of a managed instance group serve, come and go, by what Google lists of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poolwright.actuation.rest import Body

LEAVING: Final = frozenset({"DELETING", "ABANDONING", "STOPPING", "SUSPENDING"})
SERVING: Final = frozenset({"NONE", "REFRESHING"})
"""A refresh changes what needs no restart."""
STANDBY: Final = frozenset({"STOPPED", "SUSPENDED"})
"""Target states of instances that the target size does not count."""


@dataclass(frozen=True, slots=True)
class Instances:
    wanted: Sequence[Body]
    """Those that the target size counts, whether they exist already or not."""
    ready: int
    leaving: int


def sorted_out(listed: Sequence[Body]) -> Instances:
    wanted = [found for found in listed if is_wanted(found)]
    leaving = sum(found["currentAction"] in LEAVING for found in listed)
    return Instances(wanted, sum(map(_serves, wanted)), leaving)


def is_wanted(instance: Body) -> bool:
    leaves = instance["currentAction"] in LEAVING
    return not leaves and instance.get("targetStatus") not in STANDBY


def concerns_growth(error: Body) -> bool:
    """Whether an error of the group may be why replicas are missing, not why some still leave."""
    return error.get("instanceActionDetails", {}).get("action") not in LEAVING


def _serves(instance: Body) -> bool:
    """Health is listed of groups that heal themselves, one state a health check."""
    health = [found.get("detailedHealthState") for found in instance.get("instanceHealth", ())]
    runs = instance.get("instanceStatus") == "RUNNING" and instance["currentAction"] in SERVING
    return runs and all(state == "HEALTHY" for state in health)

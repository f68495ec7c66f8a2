"""What a look at a scale set finds: which permissions there are, and who else sets its capacity."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final

from poolwright.actuation.azure.meanings import HINTS
from poolwright.actuation.provider import Finding, Level
from poolwright.actuation.rest import Body

SETS: Final = "Microsoft.Compute/virtualMachineScaleSets"
VMS: Final = "Microsoft.Compute/virtualMachines"


def allowed(roles: Sequence[Body], flexible: bool) -> Finding:
    """`roles` are actions and what is taken out of them again, one a role assignment."""
    vms = VMS if flexible else f"{SETS}/virtualMachines"
    needed = (f"{SETS}/read", f"{SETS}/write", f"{SETS}/instanceView/read", f"{vms}/read")
    lacking = [action for action in needed if not any(_allows(role, action) for role in roles)]
    if lacking:
        what = f"the credentials lack {', '.join(lacking)}"
        return Finding(Level.PROBLEM, what, HINTS.unauthorised)
    return Finding(Level.OK, "the credentials may read and resize the scale set")


def targets(setting: Body, scale_set: str) -> bool:
    """Whether an autoscale setting is on this one; Azure writes ids in any case."""
    uri = setting["properties"].get("targetResourceUri") or ""
    return bool(uri.lower() == scale_set.lower())


def autoscaler(setting: Body) -> Finding:
    what = f"the autoscale setting {setting.get('name')} of Azure Monitor is on the scale set"
    if not setting["properties"].get("enabled"):
        return Finding(Level.OK, f"{what}, disabled")
    return Finding(Level.PROBLEM, what, "disable or delete it: it sets the capacity")


def _allows(role: Body, action: str) -> bool:
    return _among(role.get("actions", ()), action) and not _among(
        role.get("notActions", ()), action
    )


def _among(patterns: Iterable[str], action: str) -> bool:
    """Azure compares in any case; `*` stands for any part."""
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)

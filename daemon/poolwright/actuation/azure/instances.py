"""Which instances of a scale set serve, come and go, by their states and instance views."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from poolwright.actuation.answers import SHOWN
from poolwright.actuation.rest import Body
from poolwright.redaction import quoted

POWER: Final = "PowerState/"
COMING: Final = frozenset({"", "starting", "running"})
"""Power states of what is on its way; none yet while it is created."""
GOING: Final = frozenset({"stopping", "deallocating"})


@dataclass(frozen=True, slots=True)
class Instances:
    ready: int
    starting: int
    leaving: int
    staying: int
    """All that do not leave, also those that failed or were stopped."""
    failure: str
    """Azure's words on one that failed; '' without."""


def sorted_out(listed: Sequence[Body]) -> Instances:
    leaving = [found for found in listed if _leaves(found)]
    staying = [found for found in listed if not _leaves(found)]
    ready = sum(map(_serves, staying))
    starting = sum(_comes(found) for found in staying if not _serves(found))
    failure = next((said for found in staying if (said := _failure(found))), "")
    return Instances(ready, starting, len(leaving), len(staying), failure)


def failure(view: Body) -> str:
    """The first error among the statuses of an instance view."""
    for status in view.get("statuses") or ():
        if status.get("level") == "Error":
            # "ProvisioningState/failed/AllocationFailed": only its end is news.
            code = str(status.get("code", "")).removeprefix("ProvisioningState/failed/")
            said = status.get("message") or status.get("displayStatus")
            return quoted(": ".join(str(part) for part in (code, said) if part), SHOWN)
    return ""


def _failure(instance: Body) -> str:
    return failure(_view(instance)) if _state(instance) == "Failed" else ""


def _serves(instance: Body) -> bool:
    """Where the set has a health probe or extension, what it says decides."""
    runs = _power(instance) == "running"
    health = (_view(instance).get("vmHealth") or {}).get("status", {}).get("code")
    if health is not None:
        return runs and bool(health == "HealthState/healthy")
    return runs and _state(instance) in {"Succeeded", "Updating"}


def _comes(instance: Body) -> bool:
    return _state(instance) != "Failed" and _power(instance) in COMING


def _leaves(instance: Body) -> bool:
    return _state(instance) == "Deleting" or _power(instance) in GOING


def _state(instance: Body) -> str:
    return str(instance["properties"].get("provisioningState", ""))


def _power(instance: Body) -> str:
    return next((code.removeprefix(POWER) for code in _codes(instance) if POWER in code), "")


def _codes(instance: Body) -> Iterator[str]:
    for status in _view(instance).get("statuses") or ():
        yield str(status.get("code", ""))


def _view(instance: Body) -> dict[str, Any]:
    return instance["properties"].get("instanceView") or {}

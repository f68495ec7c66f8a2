"""What Azure Resource Manager's own words mean, beyond the HTTP status that they come with."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from poolwright.actuation.answers import SHOWN, Hints
from poolwright.actuation.provider import CallError, NoCapacity, Unauthorised
from poolwright.actuation.rest import Body
from poolwright.redaction import quoted

HINTS: Final = Hints(
    unauthorised="assign the role of docs/providers/azure.md on the scale set's resource group",
    gone="correct subscription, resource_group and name of the target",
)
SCARCE: Final = frozenset(
    {
        "AllocationFailed",
        "InsufficientCapacity",
        "OverconstrainedAllocationRequest",
        "OverconstrainedZonalAllocationRequest",
        "SkuNotAvailable",
        "ZonalAllocationFailed",
    }
)
"""Out of stock; quotas have codes of many names, which end alike."""
QUOTA: Final = "QuotaExceeded"


def explain(_: int, body: Body, said: str) -> CallError | None:
    """Of an answer that is no success."""
    parts = tuple(_parts(body.get("error")))
    codes = {str(part.get("code")) for part in parts}
    if any(_is_scarce(part) for part in parts):
        return NoCapacity(
            f"{quoted(said, SHOWN)}; raise the quota, reserve, or try another size or zone"
        )
    if "ScopeLocked" in codes:
        return Unauthorised(f"{quoted(said, SHOWN)}; take the lock away, or leave this pool alone")
    return None


def told(body: Body) -> str:
    """The innermost code and message of an error, as Azure writes them; '' without one."""
    parts = tuple(_parts(body.get("error")))
    if not parts:
        return ""
    part = next(filter(_is_scarce, parts), parts[-1])
    words = ": ".join(str(part[key]) for key in ("code", "message") if part.get(key))
    return quoted(words, SHOWN)


def _parts(error: object) -> Iterator[Mapping[str, Any]]:
    """An error and those that it was made of, from the outside in."""
    if isinstance(error, dict):
        yield error
        for detail in error.get("details") or ():
            yield from _parts(detail)


def _is_scarce(part: Mapping[str, Any]) -> bool:
    code, message = str(part.get("code")), str(part.get("message"))
    # A quota of cores is told as an operation that is not allowed.
    of_quota = code == "OperationNotAllowed" and "quota" in message.lower()
    return code in SCARCE or code.endswith(QUOTA) or of_quota

"""What Google Compute Engine's own words mean, beyond the HTTP status that they come with."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

from poolwright.actuation.answers import SHOWN, Hints, meaning
from poolwright.actuation.provider import CallError, Conflict, NoCapacity, Throttled
from poolwright.actuation.rest import Body
from poolwright.redaction import quoted

HINTS: Final = Hints(
    unauthorised="grant the role of docs/providers/gcp.md on the project",
    gone="correct project, zone or region, and name of the target",
)
SCARCE: Final = ("RESOURCE_POOL_EXHAUSTED", "QUOTA_EXCEEDED", "LIMIT_EXCEEDED", "SPACE_EXHAUSTED")
"""Ends or middles of the codes of stock-outs, quotas and full subnets."""
SCARCE_REASONS: Final = frozenset({"quotaExceeded", "limitExceeded"})
HURRIED: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"})
"""Quotas of requests, which Google answers with 403, too."""
BUSY: Final = frozenset({"resourceNotReady", "RESOURCE_NOT_READY"})


def explain(_: int, body: Body, said: str) -> CallError | None:
    """Of an answer that is no success."""
    error = body.get("error")
    if not isinstance(error, dict):
        return None
    parts = (*error.get("errors", ()), *error.get("details", ()))
    return _by_code([str(part.get("reason") or part.get("code")) for part in parts], said)


def refused(operation: Body, said: str) -> CallError | None:
    """Of an operation that has ended: None, if well."""
    errors = operation.get("error", {}).get("errors", ())
    if not errors:
        return None
    said = f"{said}: {told(errors)}"
    return _by_code([str(error.get("code")) for error in errors], said) or meaning(
        operation.get("httpErrorStatusCode", 400), said, headers={}, now=0.0, hints=HINTS
    )


def told(errors: Sequence[Mapping[str, Any]]) -> str:
    """Codes and messages, as Google writes them."""
    each = (": ".join(filter(None, (x.get("code"), x.get("message")))) for x in errors)
    return quoted("; ".join(each), SHOWN)


def epoch_s(timestamp: str) -> float:
    """Seconds since 1970 of an RFC 3339 time; 0 of what is none."""
    try:
        return dt.datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return 0.0


def _by_code(codes: Sequence[str], said: str) -> CallError | None:
    said = quoted(said, SHOWN)
    for code in codes:
        if code in SCARCE_REASONS or any(part in code for part in SCARCE):
            return NoCapacity(f"{said}; raise the quota, reserve, or try another zone")
        if code in HURRIED:
            return Throttled(said)
        if code in BUSY:
            return Conflict(f"{said}; another operation on it has not ended")
    return None

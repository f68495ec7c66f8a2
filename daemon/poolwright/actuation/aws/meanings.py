"""What the errors of AWS mean: its services name them alike, whatever their wire format."""

from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from poolwright.actuation.answers import SHOWN, Hints, meaning, retry_after_s
from poolwright.actuation.provider import (
    CallError,
    Conflict,
    Gone,
    NoCapacity,
    Throttled,
    Unauthorised,
)
from poolwright.redaction import quoted

STALE: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
    }
)
"""Refused for credentials that may have been replaced since they were read."""
DENIED: Final = STALE | {
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "UnauthorizedOperation",
}
MISSIGNED: Final = frozenset(
    {"IncompleteSignature", "InvalidSignatureException", "SignatureDoesNotMatch"}
)
"""Wrong secret key or clock. Their words repeat the signed request, its session token included."""
THROTTLED: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
UNDER_WAY: Final = frozenset(
    {"ResourceInUse", "ResourceInUseException", "ScalingActivityInProgress"}
)
"""An update that was begun before, perhaps by this daemon, has not ended: nobody overran it."""
IN_PROGRESS: Final = "in-progress"
"""SageMaker says it in words only: `Cannot update in-progress endpoint`."""
CONTENDED: Final = frozenset(
    {"ConcurrentUpdateException", "ConflictException", "ResourceContention"}
)
SHORT: Final = frozenset(
    {
        "InstanceLimitExceeded",
        "InsufficientCapacity",
        "InsufficientInstanceCapacity",
        "LimitExceeded",
        "LimitExceededException",
        "ResourceLimitExceeded",
        "ResourceLimitExceededException",
        "ServiceQuotaExceededException",
        "VcpuLimitExceeded",
    }
)
MISSING: Final = frozenset({"ResourceNotFound", "ResourceNotFoundException"})
REFUSED: Final = frozenset({"ValidationError", "ValidationException"})
MISSING_WORDS: Final = ("not found", "does not exist", "could not find")

HINTS: Final = Hints(
    unauthorised="see which identity `poolwright check --live` shows and what its policy allows",
    gone="correct the target and its region in the rule file, or create it",
)


class ForeignAnswerError(Exception):
    """An error status on an answer that no AWS service wrote: a proxy or a load balancer did."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"HTTP {status}, not in the words of AWS")
        self.status = status
        self.headers = headers


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def meaning_of(error: ClientError | ForeignAnswerError, said: str, *, now: float) -> CallError:  # noqa: PLR0911  one line a meaning
    """`said` begins the message: where, and which operation. `now`: seconds since the epoch."""
    if isinstance(error, ForeignAnswerError):
        return meaning(error.status, f"{said}: {error}", headers=error.headers, now=now)
    code = code_of(error)
    answer: dict[str, Any] = error.response.get("ResponseMetadata", {})
    headers = answer.get("HTTPHeaders", {})
    words = str(error.response.get("Error", {}).get("Message", ""))
    if code in MISSIGNED:
        return Unauthorised(f"{said}: {code}; check the secret key and this machine's clock")
    said = quoted(f"{said}: {code}: {words}", SHOWN)
    if code in THROTTLED:
        return Throttled(said, retry_after_s=retry_after_s(headers.get("retry-after"), now))
    if code in UNDER_WAY or (code in REFUSED and IN_PROGRESS in words):
        return Throttled(f"{said}; an earlier update has not ended")
    if code in CONTENDED:
        return Conflict(f"{said}; somebody else wrote at the same time")
    if code in SHORT:
        return NoCapacity(f"{said}; raise the quota, or lower the pool's max")
    if code in DENIED:
        return Unauthorised(f"{said}; {HINTS.unauthorised}")
    lost = code in REFUSED and any(part in words.lower() for part in MISSING_WORDS)
    if code in MISSING or lost:
        return Gone(f"{said}; {HINTS.gone}")
    status = int(answer.get("HTTPStatusCode", 500))
    return meaning(status, said, headers=headers, now=now, hints=HINTS)

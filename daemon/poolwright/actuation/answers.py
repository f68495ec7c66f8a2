"""What the answers of HTTP APIs mean, for the providers that speak HTTP themselves."""

import email.utils
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from poolwright.actuation.provider import (
    CallError,
    Conflict,
    Gone,
    Invalid,
    Throttled,
    Unauthorised,
    Unreachable,
)
from poolwright.redaction import quoted

SHOWN: Final = 300
"""Characters of an answer that an error quotes: enough for its reason, too few to fill a log."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What a person is to do, by meaning; each ends an error's sentence."""

    unauthorised: str = "check the credentials and what they allow"
    gone: str = "correct the target in the rule file or create it"


def meaning(  # noqa: PLR0911  one line a meaning
    status: int, said: str, *, headers: Mapping[str, str], now: float, hints: Hints | None = None
) -> CallError:
    """The error of an answer that is not a success.

    `said` begins the message: where, which call, and what the answer's body gives as its reason.
    `headers` are asked for `retry-after` in lower case; `now` is seconds since the epoch.
    """
    hints = hints or Hints()
    said = f"{quoted(said, SHOWN)} (HTTP {status})"
    patience_s = retry_after_s(headers.get("retry-after"), now)
    match status:
        case 401 | 403:
            return Unauthorised(f"{said}; {hints.unauthorised}")
        case 404 | 410:
            return Gone(f"{said}; {hints.gone}")
        case 409 | 412:
            return Conflict(f"{said}; somebody else wrote in between")
        case 429:
            return Throttled(said, retry_after_s=patience_s)
        case 503 if patience_s is not None:
            return Throttled(said, retry_after_s=patience_s)
        case 408 | 425:
            return Unreachable(f"{said}; the API ran out of time")
        case _ if 400 <= status < 500:
            return Invalid(f"{said}; the API does not take this order, correct the target")
        case _:
            return Unreachable(f"{said}; see the API's own log or status page")


def retry_after_s(header: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for: a number or a date (RFC 9110, 10.2.3)."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, at.timestamp() - now)

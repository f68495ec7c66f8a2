"""Logs in to Google Cloud by Application Default Credentials, whatever they are."""

import datetime as dt
import json
import math
import os
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from poolwright.actuation.provider import Unauthorised, Unreachable
from poolwright.actuation.tokens import Fetch, Token
from poolwright.redaction import never_show

try:
    import google.auth
    from google.auth import exceptions
    from google.auth.transport.requests import Request
except ImportError as missing:  # pragma: no cover  (the extra is installed in development)
    raise ImportError(
        "the gcp_instance_group provider needs google-auth; pip install 'poolwright[gcp]'"
    ) from missing

TIMEOUT_S: Final = 5.0
"""Of one request for a token; a call that waits for it has its own limit."""
HIDDEN: Final = ("private_key", "refresh_token", "client_secret")
"""Keys of credential files whose values are nobody's business."""


class _BoundedRequest(Request):
    @override
    def __call__(self, *args: Any, **options: Any) -> Any:
        return super().__call__(*args, **({"timeout": TIMEOUT_S} | options))  # type: ignore[no-untyped-call]


def google_login(scope: str) -> Fetch:
    """Fetches tokens for `scope`.

    The credentials are read anew each time, as a key file may have been replaced.
    """

    def fetch() -> Token:
        _hide_keys(os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"))
        request = _BoundedRequest()
        try:
            credentials, _ = google.auth.default(scopes=[scope], request=request)
            credentials.refresh(request)  # type: ignore[no-untyped-call]
        except exceptions.GoogleAuthError as error:
            said = f"Google gives no token: {error}"
            if isinstance(error, exceptions.TransportError) or error.retryable:
                raise Unreachable(f"{said}; check the network and Google's status page") from error
            raise Unauthorised(
                f"{said}; run with a service account, or set GOOGLE_APPLICATION_CREDENTIALS "
                f"(now {os.environ.get('GOOGLE_APPLICATION_CREDENTIALS', 'unset')})"
            ) from error
        return Token(credentials.token or "", _epoch_s(credentials.expiry))

    return fetch


def _epoch_s(expiry: dt.datetime | None) -> float:
    """Of google-auth's expiry, which is in UTC and does not say so; None: it does not expire."""
    return math.inf if expiry is None else expiry.replace(tzinfo=dt.UTC).timestamp()


def _hide_keys(path: str | None) -> None:
    """What cannot be read here is told by google-auth."""
    if path is None:
        return
    try:
        found = json.loads(Path(path).read_bytes())
        never_show(*(found[key] for key in HIDDEN if isinstance(found.get(key), str)))
    except (OSError, ValueError, AttributeError):
        return

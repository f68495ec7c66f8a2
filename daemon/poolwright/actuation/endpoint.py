"""Addresses of APIs in rule files: a private endpoint, or the cloud of another country."""

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from poolwright.actuation.target import TargetError

LOCAL: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL):
        # Tokens go along with every request.
        raise TargetError(f"`{url}` is no https:// address", "write it with https://")
    if not parts.hostname or parts.username or parts.query or parts.fragment:
        raise TargetError(
            f"`{url}` is no plain address", "write scheme, host and path, nothing else"
        )
    return url.rstrip("/")


Endpoint = Annotated[str, Field(strict=True), AfterValidator(_checked)]

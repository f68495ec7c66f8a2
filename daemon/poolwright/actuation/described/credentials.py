"""Secrets at the time of a call: never kept, so that what was rotated is used from the next on."""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from poolwright.actuation.described.shapes import Auth, Hmac, Secret
from poolwright.actuation.described.templates import in_header
from poolwright.actuation.provider import Unauthorised
from poolwright.redaction import never_show

LARGEST_SECRET: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as far as it is signed; `path` and `query` as they are sent."""

    method: str
    host: str
    path: str
    query: str
    body: bytes
    key: str
    """The decision's; '' of a read."""


def secret(where: Secret) -> str:
    """Its value now; Unauthorised says what is missing."""
    if where.env is not None:
        found, place = os.environ.get(where.env, ""), f"the environment variable {where.env}"
    else:
        place = f"the file {where.file}"
        try:
            with Path(str(where.file)).open("rb") as file:
                found = file.read(LARGEST_SECRET).decode().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise Unauthorised(
                f"no secret can be read from {place}: {why}; mend the file or the path"
            ) from None
    never_show(found)
    if not found or not found.isprintable():
        wrong = "has a control character" if found else "is empty or not there"
        raise Unauthorised(f"{place} {wrong}; give the daemon the secret there")
    return found


def proof(
    auth: Auth | None, request: Outgoing, values: Mapping[str, str], now: float
) -> dict[str, str]:
    """The headers that prove whose the request is, with the secrets of this moment."""
    if auth is None:
        return {}
    if auth.bearer is not None:
        token = secret(auth.bearer)
        return {auth.bearer.header: f"{auth.bearer.scheme} {token}".lstrip()}
    if auth.basic is not None:
        pair = f"{auth.basic.username}:{secret(auth.basic.password)}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {} if auth.hmac is None else signed(auth.hmac, request, values, now)


def signed(rule: Hmac, request: Outgoing, values: Mapping[str, str], now: float) -> dict[str, str]:
    """The headers of a request's signature: the parts, joined, under the key (RFC 2104)."""
    key_id = "" if rule.key_id is None else secret(rule.key_id)
    parts = {
        "method": request.method,
        "host": request.host,
        "path": request.path,
        "query": request.query,
        "target": f"{request.path}?{request.query}" if request.query else request.path,
        "timestamp": _timestamp(rule, now),
        "key_id": key_id,
        "key": request.key,
        "body": request.body.decode(),
        "body_sha256": hashlib.sha256(request.body).hexdigest(),
    }
    text = rule.join.join(parts[part] for part in rule.signs)
    digest = hmac.digest(_key(rule), text.encode(), rule.algorithm)
    signature = digest.hex() if rule.signature_is == "hex" else base64.b64encode(digest).decode()
    filled = {**values, **parts, "signature": signature}
    return {name: in_header(value, filled) for name, value in rule.headers.items()}


def _key(rule: Hmac) -> bytes:
    text = secret(rule.key)
    try:
        match rule.key_is:
            case "text":
                return text.encode()
            case "hex":
                return bytes.fromhex(text)
            case "base64":
                return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise Unauthorised(
            f"the HMAC key is not {rule.key_is}; correct the secret or `key_is`"
        ) from None


def _timestamp(rule: Hmac, now: float) -> str:
    match rule.timestamp:
        case "unix":
            return str(int(now))
        case "unix_ms":
            return str(int(now * 1000))
        case "iso8601":
            return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

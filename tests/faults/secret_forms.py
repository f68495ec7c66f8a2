"""How a secret may look in what a process has written, found without the daemon's own hiding."""

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

LEAST = 6
"""Bytes of a form that is looked for: fewer would be found by chance."""


def forms(secret: str) -> Iterator[bytes]:
    texts = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}
    texts |= {json.dumps(secret)[1:-1], repr(secret)[1:-1], secret.encode().hex()}
    for text in texts:
        yield text.encode()
    for cut in range(3):
        # Base64 of something around it: its three bytes begin anywhere in a group of three.
        inner = secret.encode()[cut:]
        whole = base64.b64encode(inner[: len(inner) // 3 * 3])
        yield whole
        yield whole.replace(b"+", b"-").replace(b"/", b"_")
        yield quote(whole, safe="").encode()


def leaks(written: bytes, secret: str) -> list[str]:
    """Where it stands, each with what is around it; hide-and-seek is not played with newlines."""
    text = written.replace(b"\n", b"")
    found = []
    for form in forms(secret):
        for hay in (written, text):
            at = hay.find(form)
            if len(form) >= LEAST and at >= 0:
                found.append(repr(hay[max(0, at - 160) : at + len(form) + 40]))
                break
    return found

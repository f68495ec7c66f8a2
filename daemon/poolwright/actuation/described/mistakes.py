"""What one part of a described file says wrongly of another, such as a place that nothing fills."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

from poolwright.actuation.described.shapes import Api, Hmac
from poolwright.actuation.described.templates import Path, places

Mistake = tuple[Path, str, str]
"""Where in the file, what is wrong, and what to write."""

RESERVED: Final = frozenset({"ref", "count", "key"})
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_OF_HMAC: Final = frozenset({"signature", "timestamp", "key_id", "body_sha256"})


def mistakes(api: Api) -> Iterator[Mistake]:
    """All of them; nothing that the shape itself refuses."""
    yield from _of_places(api)
    if api.set_.drain is not None and api.set_.drain in (api.set_.body or {}):
        yield ("set", "drain"), f"`{api.set_.drain}` is in the body, too", "delete one of them"
    if api.auth is not None and api.auth.hmac is not None:
        yield from _of_signing(api.auth.hmac)


def _of_places(api: Api) -> Iterator[Mistake]:
    parameters = frozenset(api.parameters)
    for name in api.parameters:
        if name in RESERVED or not _NAME.fullmatch(name):
            hint = f"use small letters, digits and _, and none of {', '.join(sorted(RESERVED))}"
            yield ("parameters", name), f"a parameter cannot be called `{name}`", hint
    used: set[str] = set()
    for path, place in _places(api.model_dump(by_alias=True, exclude_unset=True)):
        known = parameters | _also(path)
        used.add(place)
        if place not in known:
            yield path, f"nothing fills `{{{place}}}`", _did_you_mean(place, known)
    for name in sorted(parameters - used):
        hint = f"write {{{name}}} where it belongs, or delete it"
        yield ("parameters", name), f"no place has the parameter `{name}`", hint
    if "count" not in used:
        part: Path = ("set", "url" if api.set_.body is None else "body")
        yield part, "the count is nowhere in the order", "write '{count}' where it belongs"


def _of_signing(hmac: Hmac) -> Iterator[Mistake]:
    at: Path = ("auth", "hmac")
    carried = {place for _, place in places(hmac.headers)}
    if "timestamp" in hmac.signs and "timestamp" not in carried:
        hint = "add one: X-Timestamp: '{timestamp}'"
        yield (*at, "signs"), "the signed timestamp is in no header", hint
    if hmac.key_id is None and ("key_id" in carried or "key_id" in hmac.signs):
        yield at, "`key_id` is not said", "add key_id: {env: NAME}"


def _places(written: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    for key in ("base_url", "read", "set", "reason", "errors"):
        yield from places(written.get(key), (key,))
    headers = written.get("auth", {}).get("hmac", {}).get("headers")
    yield from places(headers, ("auth", "hmac", "headers"))


def _also(path: Path) -> frozenset[str]:
    """What is filled besides parameters, where the path is."""
    if path[:1] == ("set",) and path[1] in ("url", "body", "headers"):
        return frozenset({"count", "key"})
    return _OF_HMAC if path[:3] == ("auth", "hmac", "headers") else frozenset()


def _did_you_mean(name: str, known: frozenset[str]) -> str:
    if close := get_close_matches(name, known, 1):
        return f"did you mean `{{{close[0]}}}`?"
    return f"declare it: parameters: {{{name}: {{}}}}"

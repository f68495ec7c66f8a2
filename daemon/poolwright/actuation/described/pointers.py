"""JSON pointers (RFC 6901): where in an answer a value stands."""

import re
from collections.abc import Mapping, Sequence

from poolwright.actuation.target import TargetError

_INDEX = re.compile(r"0|[1-9][0-9]*")
_STRAY = re.compile(r"~(?![01])")


def checked(pointer: str) -> str:
    """The pointer itself; TargetError where it is none."""
    if pointer and not pointer.startswith("/"):
        raise TargetError(f"`{pointer}` is no JSON pointer", f"begin with a slash: /{pointer}")
    if _STRAY.search(pointer):
        hint = "write ~0 for a tilde and ~1 for a slash within a key"
        raise TargetError(f"`{pointer}` has a tilde that stands for nothing", hint)
    return pointer


def escaped(key: str) -> str:
    """A key as it is written in a pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def find(pointer: str, value: object) -> object:
    """The value that the pointer leads to; LookupError where it leads to nothing."""
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping):
            value = value[key]
        elif isinstance(value, Sequence) and not isinstance(value, str) and _INDEX.fullmatch(key):
            value = value[int(key)]
        else:
            raise LookupError(pointer)
    return value


def found(pointer: str, value: object) -> object:
    """As `find`, but None where it leads to nothing."""
    try:
        return find(pointer, value)
    except LookupError:
        return None

"""Texts with `{places}`: which there are, and each filled in as the text's place asks for."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from poolwright.actuation.described.pointers import escaped

PLACE: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")

Path = tuple[str | int, ...]


def places(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Each place in a text, or in the texts of lists and mappings, with where its text stands."""
    if isinstance(value, str):
        for match in PLACE.finditer(value):
            yield path, match[1]
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*path, key))
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from places(part, (*path, i))


def in_url(text: str, values: Mapping[str, object]) -> str:
    return PLACE.sub(lambda match: quote(str(values[match[1]]), safe=""), text)


def in_pointer(text: str, values: Mapping[str, str]) -> str:
    return PLACE.sub(lambda match: escaped(values[match[1]]), text)


def in_header(text: str, values: Mapping[str, object]) -> str:
    return PLACE.sub(lambda match: str(values[match[1]]), text)


def in_json(value: Any, values: Mapping[str, object]) -> Any:
    """A text that is one place and nothing else becomes the value itself: a count is a number."""
    if isinstance(value, str):
        whole = PLACE.fullmatch(value)
        return values[whole[1]] if whole else in_header(value, values)
    if isinstance(value, dict):
        return {key: in_json(part, values) for key, part in value.items()}
    if isinstance(value, list):
        return [in_json(part, values) for part in value]
    return value

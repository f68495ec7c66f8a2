"""What must never be shown, and texts without it.

Credentials get into texts by ways that nobody can list: an API that quotes the request it
refuses, an exception that holds the header, a client that logs what it sends. So whoever reads a
credential says so once (`never_show`), and every way out of the process asks (`without_secrets`):
the errors of `poolwright.errors` when they are made, what providers report when it comes, the log
when it is written. One table for the process, as its log is one for the process.

Hidden are the value itself, and how it looks in URLs, in JSON and in Base64, also in the middle of
what was encoded, as in `Basic` headers. What was never told is hidden where its place gives it
away: the password of a URL, the value of an Authorization header, what follows its scheme, and a
JSON Web Token.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK: Final = "***"
SHORTEST: Final = 6
"""Characters of a value that is hidden: a shorter one would hide words and numbers instead."""
KEPT: Final = 512
"""Values that are remembered, the newest: tokens that are renewed are new ones."""

_PLACES: Final = re.compile(
    r"(?P<url>\b[a-z][a-z0-9+.-]*://)[^\s/@\"']+@"
    r"|(?P<header>\bauthorization(?:[\"']\s*[:,]|\s*[:=])\s*(?:b?[\"'])?)"
    r"(?:[a-z0-9-]+[ ])?[^\s\"',;]+"
    r"|(?P<jwt>\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?)"
    r"|(?P<scheme>\b(?:basic|bearer)\s+)(?=\S*[0-9])[^\s\"',;]{8,}",
    re.IGNORECASE,
)
_VARIABLE: Final = re.compile(
    r"(?:^|_)(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|(?:ACCESS|API|AUTH|HMAC|PRIVATE|SECRET|SIGNING)_?KEY)$"
)


class Redaction:
    """A table of values, and one pattern of all their forms."""

    def __init__(self) -> None:
        self._values: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None

    def never_show(self, *values: str) -> None:
        """Hide these from now on; of several lines each is hidden by itself, too."""
        parts = {part.strip() for value in values for part in (value, *value.splitlines())}
        fresh = [part for part in sorted(parts) if len(part) >= SHORTEST]
        if all(value in self._values for value in fresh):
            return
        newest = [*(value for value in self._values if value not in fresh), *fresh][-KEPT:]
        forms = {form for value in newest for form in _forms(value)}
        # The longest first: one value may begin as another does.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._values = dict.fromkeys(newest)
        self._pattern = re.compile("|".join(map(re.escape, ordered)))

    def without_secrets(self, text: str) -> str:
        """The text as it may be shown."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        return _PLACES.sub(_masked, text)


def quoted(text: str, longest: int) -> str:
    """The beginning of what somebody else said.

    Hidden first and then cut: half a secret would not be found any more, and is one, too.
    """
    return without_secrets(text)[:longest]


def secrets_in(variables: Mapping[str, str]) -> Iterator[str]:
    """What an environment holds that must not be shown, as far as names and URLs tell it."""
    for name, value in variables.items():
        if _VARIABLE.search(name.upper()):
            yield value
        elif "://" in value and "@" in value:
            yield from _password_of(value)


def _password_of(url: str) -> Iterator[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return
    if password:
        yield from (password, unquote(password))


def _masked(found: re.Match[str]) -> str:
    if (before := found["url"]) is not None:
        return f"{before}{MASK}@"
    return f"{found['header'] or found['scheme'] or ''}{MASK}"


def _forms(value: str) -> Iterator[str]:
    yield value
    yield quote(value, safe="")
    yield quote_plus(value)
    yield quote(value)
    yield json.dumps(value)[1:-1]
    yield repr(value)[1:-1]
    for form in _base64_forms(value.encode("utf-8", "surrogateescape")):
        yield form
        yield form.replace("+", "-").replace("/", "_")
        yield quote(form, safe="")


def _base64_forms(value: bytes) -> Iterator[str]:
    """What stands in Base64 wherever the value begins: the digits that it alone decides."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value).decode("ascii")
        first = -(-before * 8 // 6)
        yield encoded[first : (before + len(value)) * 8 // 6]


_TABLE: Final = Redaction()
never_show = _TABLE.never_show
without_secrets = _TABLE.without_secrets

"""What the CEL compiler says about a condition, in words that say what to write instead."""

import re
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from poolwright.rulefiles.wording import did_you_mean

_ERROR = re.compile(r"<input>:(\d+):(\d+): (.*)")
_WORDS: Final = {"and": "&&", "or": "||", "not": "!"}
_SIGNS: Final = {"=": "==", "=>": ">=", "=<": "<=", "&": "&&", "|": "||", "<>": "!="} | {
    "≥": ">=",
    "≤": "<=",
    "≠": "!=",
}
_SIGN = re.compile(r"[=<>&|!≥≤≠]+")
_TYPES: Final = {
    "double": "a number",
    "string": "text",
    "bool": "true or false",
    "null_type": "null",
}
_PERCENT: Final = ("`%` is no share in a condition", "write 0.85 for 85%")
_EXAMPLE: Final = "compare signals: waiting / ready > 8 && kv > 0.9"
_UNITS: Final = ("ms", "s", "m", "h", "d")
_OPERATORS: Final = "write it with + - * / < > == && || ! ( ) and ? :"
_SYNTAX: Final = (
    ("missing ')'", "", "a `)` is missing", "close every `(`"),
    ("", ")", "a `)` that fits nothing", "remove it, or open it with `(`"),
    ("", ("'", '"'), "a quote that is not closed", "remove it: names need no quotes"),
    ("", ",", "a comma", "write a point in numbers, such as 0.85, and && between comparisons"),
)
"""What the compiler says, what stands there, message and hint."""


class Mistake(NamedTuple):
    """`offset` is that of the character in the condition's source, from 0."""

    offset: int
    message: str
    hint: str


def explain(
    report: str, source: str, offset: Callable[[int, int], int], known: Collection[str]
) -> tuple[Mistake, ...]:
    """Every mistake once; of those in syntax only the first, since the others follow from it.

    `offset` maps the compiler's line and column (from 1) to an offset in `source`.
    """
    found = [
        (offset(int(line), int(column)), text) for line, column, text in _ERROR.findall(report)
    ]
    if not found:
        return (Mistake(0, report.partition("\n")[0], _EXAMPLE),)
    if any("Syntax error" in text or "reserved" in text for _, text in found):
        return (_syntax(*found[0], source),)
    mistakes: dict[tuple[str, str], Mistake] = {}
    for at, text in found:
        mistake = _meaning(at, text, source, known)
        mistakes.setdefault((mistake.message, mistake.hint), mistake)
    return tuple(mistakes.values())


def _syntax(at: int, text: str, source: str) -> Mistake:
    """The compiler says where it gave up; the cause stands there or just before."""
    if not source.strip():
        return Mistake(0, "the condition is empty", _EXAMPLE)
    before, rest = source[:at].rstrip(), source[at:]
    if mistake := _foreign(at, before, source):
        return mistake
    for expected, begins, message, hint in _SYNTAX:
        if expected in text and rest.lstrip().startswith(begins):
            return Mistake(at, message, hint)
    if not rest.strip():
        return Mistake(at, "the condition ends too early", "write what it is compared with")
    what = (re.match(r"\w+", rest) or re.match(".", rest, re.DOTALL) or [""])[0]
    if "reserved" in text:
        return Mistake(at, f"`{what}` is a word of CEL itself", "name a signal")
    return Mistake(at, f"`{what}` cannot stand here", f"join comparisons with && or ||; {_EXAMPLE}")


def _foreign(at: int, before: str, source: str) -> Mistake | None:
    """What other languages write: words for operators, units, percentages, a single `=`."""
    word = (re.match(r"\w+", source[at:]) or [""])[0]
    if previous := re.search(r"\bnot$", before):
        word, at = "not", previous.start()
    if word in _WORDS:
        return Mistake(at, f"`{word}` is unknown here", f"write {_WORDS[word]}")
    if before[-1:].isdigit() and word in _UNITS:
        hint = f"remove `{word}`: times are in seconds, all else has no unit"
        return Mistake(at, f"a number with the unit `{word}`", hint)
    if before.endswith("%"):
        return Mistake(len(before) - 1, *_PERCENT)
    for start in range(max(at - 1, 0), at + 1):
        sign = (_SIGN.match(source, start) or [""])[0]
        if sign in _SIGNS:
            return Mistake(start, f"`{sign}` is unknown here", f"write {_SIGNS[sign]}")
    return None


def _meaning(at: int, text: str, source: str, known: Collection[str]) -> Mistake:
    if undeclared := re.search(r"undeclared reference to '([^']+)'", text):
        name = undeclared[1]
        # The compiler points at the bracket of a call, and at the dot of a path.
        if source[at : at + 1] == "(":
            return Mistake(at - len(name), f"there is no function `{name}`", _OPERATORS)
        if "." in name:
            first = name.partition(".")[0]
            return Mistake(at - len(first), f"unknown signal `{name}`", did_you_mean(first, known))
        return Mistake(at, f"unknown signal `{name}`", did_you_mean(name, known))
    if overload := re.search(r"overload for '_?([^_']+)_?' applied to '\((.*)\)'", text):
        operator, types = overload[1], overload[2].split(", ")
        return Mistake(at, *_overload(operator, types))
    if "select operation" in text:
        hint = "remove the point and what follows: the signal's `stat` chooses the statistic"
        return Mistake(at, "a signal is one number and has no parts", hint)
    return Mistake(at, text, _EXAMPLE)


def _overload(operator: str, types: list[str]) -> tuple[str, str]:
    words = [_TYPES.get(kind, kind) for kind in types]
    if operator == "%":
        return _PERCENT
    if operator in ("&&", "||", "!"):
        return f"`{operator}` needs true or false, not a number", "compare it, such as with > 0"
    message = f"`{operator}` between {' and '.join(words)}"
    if operator.isidentifier():
        return f"`{operator}` cannot be used here", _OPERATORS
    if "string" in types:
        return message, "remove the quotes: signals are numbers"
    if "bool" in types and operator in ("<", ">", "<=", ">="):
        return message, "compare twice: a > 1 && a < 5"
    return message, "compare numbers with numbers"

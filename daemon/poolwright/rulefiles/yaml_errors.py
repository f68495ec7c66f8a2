"""What is wrong with a file that is no YAML, in the words of those who must mend it now.

A parser stops at the first such mistake and often far below its cause: a bracket left open is
found at the next line's colon. So the place is where the cause stands, if that is known.
"""

import re
from collections.abc import Sequence
from typing import Final

from ruamel.yaml.error import MarkedYAMLError, StreamMark
from ruamel.yaml.reader import ReaderError

Place = tuple[int, int]
Explained = tuple[Place, str, str]
"""Place (line and column, from 1), message and hint."""

_QUOTE: Final = "put the whole text in quotes"
_KNOWN: Final = (
    ("could not find expected ':'", True, "a colon is missing", "write `key: value`, with a space"),
    ("an alias", True, "text cannot begin with `*`", _QUOTE),
    ("an anchor", True, "text cannot begin with `&`", _QUOTE),
    ("another document", False, "a second document begins here", "one service a file: move it"),
    ("escape", False, "an unknown escape", "use single quotes, or write the backslash twice"),
    ("quoted scalar", True, "a quote is not closed", "close it at the end of the text"),
    (
        "block",
        False,
        "the indentation fits nothing above",
        "align it with spaces with the lines that it belongs to",
    ),
)
"""What the parser says, whether the place is where it began, message and hint."""

_SPECIAL = re.compile(r"found character '(.+)' that cannot start any token")


def explain(error: MarkedYAMLError, lines: Sequence[str]) -> Explained:
    """The mistake, at its cause where that is known."""
    problem, context = str(error.problem or error.context), str(error.context)
    here = _place(error.problem_mark) or _place(error.context_mark) or (1, 1)
    begun = _place(error.context_mark) or here
    if special := _SPECIAL.match(problem):
        return here, *_special(special[1])
    if "mapping values are not allowed" in problem:
        return _stray_colon(here, lines)
    if context.startswith("while parsing a flow"):
        return _open_bracket(begun, here, lines)
    if "found undefined alias" in problem:
        name = problem.rpartition(" ")[2].strip("'")
        hint = f"define it above with &{name}, or put the text in quotes if it is none"
        return here, f"`*{name}` refers to nothing", hint
    for words, at_beginning, message, hint in _KNOWN:
        if words in problem or words in context:
            return begun if at_beginning else here, message, hint
    line = lines[here[0] - 1] if here[0] <= len(lines) else ""
    return here, f"not valid YAML: {problem}", _tabs(line) or "check quotes and indentation"


def _open_bracket(begun: Place, here: Place, lines: Sequence[str]) -> Explained:
    opened = lines[begun[0] - 1][begun[1] - 1 :][:1]
    if begun[0] == here[0]:
        return here, f"a comma or the end of `{opened}` is missing", "write {a: 1, b: 2} or [a, b]"
    if lines[begun[0] - 1].count('"') % 2:
        return begun, "a quote in this line is not closed", "close it with another one"
    hint = "close it on its line"
    return begun, f"`{opened}` is not closed", hint


def explain_character(error: ReaderError, text: str) -> Explained:
    before = text[: error.position]
    place = (before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1)
    code = ord(text[error.position])
    return place, f"an invisible character (U+{code:04X})", "delete it and type the text anew"


def _place(mark: StreamMark | None) -> Place | None:
    return (mark.line + 1, mark.column + 1) if mark else None


def _tabs(line: str) -> str:
    return "indent with spaces, YAML allows no tabs" if "\t" in line else ""


def _special(character: str) -> tuple[str, str]:
    if character == "\\t":
        return "a tab", _tabs("\t")
    return f"text cannot begin with `{character}`", _QUOTE


def _stray_colon(here: Place, lines: Sequence[str]) -> Explained:
    for row in (here[0], here[0] - 1):
        if row >= 1 and (dash := re.match(r"\s*-(?=\w)", lines[row - 1])):
            return (row, dash.end()), "a dash without a space", "write `- name: …`"
    if ":" in lines[here[0] - 1][: here[1] - 1]:
        return here, "a second colon in one line", "put text that has `: ` in quotes"
    hint = "align it with the keys above; the line above may be indented otherwise, or unfinished"
    return here, "a key that fits nothing above", hint

"""A problem with its line of the file and a caret below, for people at a terminal."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from poolwright.errors import Problem
from poolwright.redaction import without_secrets

_WIDTH: Final = 96
_INDENT: Final = "    "


def excerpts(problems: Iterable[Problem]) -> Iterator[str]:
    """One text for each problem; without the line where the file cannot be read."""
    files: dict[str, list[str]] = {}
    for problem in problems:
        if problem.file not in files:
            files[problem.file] = _lines(problem.file)
        yield excerpt(problem, files[problem.file])


def excerpt(problem: Problem, lines: Sequence[str]) -> str:
    if not 1 <= problem.line <= len(lines) or not (line := lines[problem.line - 1]).strip():
        return str(problem)
    # Somebody may have written a secret where only its place belongs, and that is the problem.
    line = without_secrets(line)
    # One column a character, or the caret would stand elsewhere.
    line = "".join(character if character.isprintable() else " " for character in line)
    at = min(problem.column - 1, len(line))
    first = max(0, min(at - _WIDTH * 2 // 3, len(line) - _WIDTH))
    shown = line[first : first + _WIDTH]
    before = "…" if first else ""
    after = "…" if first + _WIDTH < len(line) else ""
    caret = " " * (len(before) + at - first) + "^"
    return f"{problem}\n{_INDENT}{before}{shown}{after}\n{_INDENT}{caret}"


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return []

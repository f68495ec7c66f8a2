"""Every error that Poolwright raises on purpose.

PoolwrightError
├── RuleFileError        a rule file is wrong; carries every problem with its place
├── SettingsError        a setting is wrong or missing
├── TelemetryError       the telemetry source cannot be used (not: a bad message)
├── JournalError         the journal cannot be read or written
├── HistoryError         a record of past demand cannot be read, or holds none
└── ProviderError        see poolwright.actuation.provider for the meaning of each kind
"""

from dataclasses import dataclass

from typing_extensions import override

from poolwright.redaction import without_secrets


class PoolwrightError(Exception):
    """Base of all of them; `str()` says what happened, where, and what to do, and no secret."""

    def __init__(self, message: str = "") -> None:
        super().__init__(without_secrets(message))


class SettingsError(PoolwrightError):
    """A setting is wrong or missing."""


class TelemetryError(PoolwrightError):
    """The telemetry source cannot be used."""


class JournalError(PoolwrightError):
    """The journal cannot be read or written."""


class HistoryError(PoolwrightError):
    """A record of past demand cannot be read, or holds none."""


class ProviderError(PoolwrightError):
    """Base of the provider errors."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a rule file: where (1-based line and column), what, and how to mend it."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    @override
    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{hint}"


class RuleFileError(PoolwrightError):
    """One or more rule files are wrong; nothing of the set is used."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))

"""The command line.

Exit codes: 0 well, 1 the answer is no (bad rules, failed tests, differences), 2 wrong use or
settings, 3 something outside failed (Kafka, journal, provider), 130 interrupted. What is mended in
a rule file is 1, also when the daemon starts; what is mended in the environment is 2.
`check --live` gives 1 where something is to be mended, be it a target, a permission, a credential
or an installation, and 3 where nothing is known to be wrong but that something did not answer.

Commands import what they need when they run, so that `poolwright --help` answers at once.
"""

import sys
import traceback

from poolwright.errors import (
    JournalError,
    PoolwrightError,
    RuleFileError,
    SettingsError,
)
from poolwright.redaction import without_secrets

EXIT_NO = 1
EXIT_USAGE = 2
EXIT_OUTSIDE = 3
EXIT_INTERRUPTED = 130


def exit_code(error: PoolwrightError) -> int:
    """The documented exit code of an error."""
    match error:
        case RuleFileError():
            return EXIT_NO
        case SettingsError():
            return EXIT_USAGE
        case _:
            return EXIT_OUTSIDE


def main() -> None:
    """Entry point: an expected error is told in words, without a traceback."""
    from poolwright.cli.commands import app  # noqa: PLC0415  keeps the import of errors light

    try:
        app()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except PoolwrightError as error:
        prefix = "" if isinstance(error, (RuleFileError, JournalError)) else "poolwright: "
        sys.stderr.write(f"{prefix}{error}\n")
        sys.exit(exit_code(error))
    except Exception:  # noqa: BLE001  a fault of ours, whose traceback may quote a secret
        sys.stderr.write(without_secrets(traceback.format_exc()))
        sys.exit(EXIT_NO)


__all__ = ["EXIT_INTERRUPTED", "EXIT_NO", "EXIT_OUTSIDE", "EXIT_USAGE", "main"]

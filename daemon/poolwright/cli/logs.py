"""The log on stderr, without secrets: whoever wrote the line, and however it failed."""

import logging
from typing import Final

from typing_extensions import override

from poolwright.redaction import without_secrets

FORMAT: Final = "%(levelname)s %(name)s: %(message)s"


class RedactingFormatter(logging.Formatter):
    """Hides secrets in the line as a whole: its message, its arguments and its traceback."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def set_up_logs(level: str) -> None:
    """Everything from `level` on goes to stderr; of clients what matters, unless all is wanted."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter(FORMAT))
    logging.basicConfig(level=level, handlers=[handler])
    if level != "DEBUG":
        # It logs each step of a reconnection; what matters of them the source tells itself.
        logging.getLogger("aiokafka").setLevel(logging.ERROR)
        # It logs each request: one for each pool every few seconds.
        logging.getLogger("httpx2").setLevel(logging.WARNING)

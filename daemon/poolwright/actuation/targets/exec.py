"""Which command of the user's counts and orders a pool's replicas."""

import re
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field

from poolwright.actuation.target import Needs, Target, TargetError, Text

LONGEST_S: Final = 9.0
"""Less than a call's own limit, so that the error says which command it was."""
_DURATION: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]+)?)(ms|s)")


def _seconds(value: Any) -> float:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise TargetError(f"`{value}` is not a duration", "write it like 8s or 500ms")
    seconds = float(match[1]) * (0.001 if match[2] == "ms" else 1.0)
    if not 0 < seconds <= LONGEST_S:
        hint = f"write more than 0s and at most {LONGEST_S:g}s: a call has 10 s in all"
        raise TargetError(f"`{value}` is no time limit for a command", hint)
    return seconds


Seconds = Annotated[float, BeforeValidator(_seconds)]
Variable = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9_]+$")]


class ExecTarget(Target):
    """The pool's name is on the command's input, so that one command may serve many pools."""

    needs: ClassVar[Needs | None] = Needs(
        "whatever a command of yours counts and orders",
        "the environment variables that `env` names",
        ("to execute the command as the daemon's user",),
        chooses=True,
    )

    command: Annotated[list[Text], Field(min_length=1)]
    """Program and arguments, for no shell."""
    timeout: Seconds = 8.0
    """Real seconds; then it is killed, with all that it started."""
    env: Annotated[list[Variable], Field(default_factory=list)]
    """Variables of the daemon that it gets, besides PATH, HOME and LANG."""

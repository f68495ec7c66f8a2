"""Which command of the user's counts and orders a pool's replicas."""

from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field

from poolwright.actuation.target import Needs, Target, TargetError, Text, duration_s

LONGEST_S: Final = 9.0
"""Less than a call's own limit, so that the error says which command it was."""


def _seconds(value: Any) -> float:
    seconds = duration_s(value)
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

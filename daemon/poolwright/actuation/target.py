"""What a provider's own part of a rule file may say: read without the provider's client.

So `poolwright check` shows a wrong target at its place, also where no client is installed, and the
provider gets what has been checked.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from poolwright.errors import SettingsError
from poolwright.model.rule import PoolRule

Text = Annotated[str, Field(strict=True, min_length=1)]

_DURATION: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Needs:
    """What a provider needs before it can scale anything: `poolwright providers` lists it."""

    about: str
    """What it scales, in a few words."""
    credentials: str
    """Where it takes them from; '' where it needs none."""
    permissions: tuple[str, ...] = ()
    """The least that suffices, in the words of the API, each with what it is for."""
    extra: str | None = None
    """Of `pip install 'poolwright[EXTRA]'`; None: nothing beyond the daemon itself."""
    chooses: bool = False
    """Whether it can have the least loaded replicas go first."""


class Target(BaseModel):
    """Base of the targets: a field for each key, as it is written in rule files."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    needs: ClassVar[Needs | None] = None

    @classmethod
    def of(cls, pool: PoolRule) -> Self:
        """The pool's target; SettingsError says which keys to mend."""
        try:
            return cls.model_validate(pool.target)
        except ValidationError as error:
            wrong = "; ".join(_told(pool, part["loc"], part["msg"]) for part in error.errors())
            raise SettingsError(f"{wrong}. Correct the pool in its rule file.") from error

    def identity(self, service: str, pool: str) -> Hashable | None:  # noqa: ARG002  overridden
        """What the count is set on, for `pool` of `service`: two pools with equal ones are refused.

        None, as of a target that does not say it: they are never refused.
        """
        return None


class TargetError(ValueError):
    """A value that a target cannot have, for validators to raise: `hint` says what to write."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def duration_s(value: Any) -> float:
    """Seconds of what is written as in the rest of a rule file, in one unit; else TargetError."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise TargetError(f"`{value}` is not a duration", "write it like 500ms, 8s or 5m")
    return float(match[1]) * _SECONDS[match[2]]


def _told(pool: PoolRule, keys: tuple[str | int, ...], message: str) -> str:
    return f"{'.'.join(('provider', pool.provider, *map(str, keys)))}: {message}"

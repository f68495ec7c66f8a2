"""Two pools on one provider target would undo each other's counts: the second is a problem.

What makes two targets the same is known to the provider alone, so its model of a target says it.
"""

from collections.abc import Hashable, Iterable
from typing import Protocol, runtime_checkable

from pydantic import ValidationError

from poolwright.model.rule import PoolRule, ServiceRule
from poolwright.rulefiles.checks import Providers
from poolwright.rulefiles.document import Document, Path


@runtime_checkable
class Identified(Protocol):
    """A model of targets that can tell whether two of them are one; others are never refused."""

    def identity(self, service: str, pool: str) -> Hashable | None:
        """Equal for pools that set the count of the same thing; None: that cannot be known."""


def check_targets_of_all(
    services: Iterable[tuple[Document, ServiceRule]], providers: Providers
) -> None:
    """Add each pool to the problems whose target an earlier pool, of any service, has already."""
    owners: dict[tuple[str, Hashable], tuple[Document, Path, str]] = {}
    for document, service in services:
        for i, pool in enumerate(service.pools):
            path: Path = ("pools", i, "provider", pool.provider)
            if any(document.has_broken(("pools", i, key)) for key in ("name", "provider")):
                continue
            found = _identity(service.service, pool, providers)
            if found is None:
                continue
            first, place, name = owners.setdefault(
                (pool.provider, found), (document, path, pool.name)
            )
            # Two of one name have been told, and may be one target only for that.
            if name != pool.name:
                hint = (
                    f"also at {first.where(place)}; the two would undo each other's counts:"
                    " correct one of the targets, or keep one pool"
                )
                document.add(path, f"the same target as that of pool `{name}`", hint)


def _identity(service: str, pool: PoolRule, providers: Providers) -> Hashable | None:
    model = providers.get(pool.provider)
    if model is None:
        return None
    try:
        target: object = model.model_validate(pool.target)
    except ValidationError:
        # It has been told.
        return None
    return target.identity(service, pool.name) if isinstance(target, Identified) else None

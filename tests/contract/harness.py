"""What the contract needs of a provider: a server behind a proxy, and a way past the provider."""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
from testenv.fault_proxy import FaultProxy, Which
from tests.contract import harnesses

from poolwright.actuation.provider import CallError, Provider
from poolwright.model.rule import PoolRole, PoolRule

POOL = "chat-h100"

Refuse = Callable[[], Awaitable[None]]
"""Has the server itself refuse the next write, and it alone."""


@dataclass
class Harness:
    """One provider whose target has two replicas at the start, may have 0 to 9, and a way to it."""

    provider: Provider
    told: Callable[[], Awaitable[int]]
    """The count that the server holds, asked past provider and proxy."""
    meddle: Callable[[int], Awaitable[None]]
    """Somebody else sets the count, past provider and proxy."""
    remove: Callable[[], Awaitable[None]] | None = None
    """Somebody deletes the target; None: it cannot be deleted."""
    proxy: FaultProxy | None = None
    """None: the provider speaks no network protocol."""
    writes: Which = lambda _: False
    """Which requests set the count."""
    refusals: Mapping[type[CallError], Refuse] = field(default_factory=dict)
    """What the server itself can be brought to answer, besides what the proxy answers for it."""
    rests_on_its_read: bool = True
    """An order after a change that the provider has not read is a conflict."""
    settle: Callable[[int], Awaitable[None]] | None = None
    """Returns when so many replicas are ready; None: the server has no replicas that get ready."""


T = TypeVar("T")


class Module(Protocol):
    """What a module of `tests/contract/harnesses`, named as the provider, has."""

    def harness(
        self, folder: Path, patch: pytest.MonkeyPatch
    ) -> AbstractAsyncContextManager[Harness]:
        """Starts what is needed or skips, saying what is missing and how to get it."""


def refusing(
    refusals: list[T], answers: Mapping[type[CallError], T]
) -> dict[type[CallError], Refuse]:
    """Of an imitation that keeps a list of what it answers instead of obeying."""

    def once(answer: T) -> Refuse:
        async def refuse() -> None:
            refusals.append(answer)

        return refuse

    return {error: once(answer) for error, answer in answers.items()}


def rule(provider: str, target: Mapping[str, object]) -> PoolRule:
    return PoolRule(POOL, PoolRole.DEFAULT, provider, target, 0, 9)


def names() -> list[str]:
    """The harnesses there are; one of a provider's variants has its name with `__VARIANT`."""
    return sorted(found.name for found in pkgutil.iter_modules(harnesses.__path__))


def load(name: str) -> Module:
    return importlib.import_module(f"tests.contract.harnesses.{name}")  # type: ignore[return-value]

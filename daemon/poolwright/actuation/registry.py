"""Finds providers by entry point, so that one from another package needs no change here."""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from poolwright.actuation.provider import Factory, Provider
from poolwright.actuation.target import Target
from poolwright.errors import PoolwrightError, SettingsError
from poolwright.model.rule import PoolRule
from poolwright.settings import Settings

GROUP: Final = "poolwright.providers"
TARGETS: Final = "poolwright.targets"
"""Under the provider's name, the model of its target: beside the provider, to load no client."""


def installed() -> tuple[str, ...]:
    """Names of the providers that rule files may use."""
    return tuple(sorted(entry_points(group=GROUP).names))


def find_factory(name: str) -> Factory:
    """The factory of a provider; SettingsError says which there are, or what is missing."""
    found = tuple(entry_points(group=GROUP, name=name))
    if not found:
        raise SettingsError(
            f"no provider is called {name!r}; installed are: {', '.join(installed()) or 'none'}. "
            f"Correct the pool's `provider`, or install a package with an entry point of that name "
            f"in the group {GROUP!r}."
        )
    return cast("Factory", _loaded(found[0]))


def targets() -> dict[str, type[Target] | None]:
    """The targets of the providers that rule files may use; None: it does not say what they are."""
    described = {point.name: point for point in entry_points(group=TARGETS)}
    return {
        name: cast("type[Target]", _loaded(described[name])) if name in described else None
        for name in installed()
    }


def _loaded(point: EntryPoint) -> object:
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"the provider {point.name!r} ({point.value}) cannot be loaded: {error}. "
            f"Install what it needs (`poolwright providers` says which extra has it)."
        ) from error


def make_providers(pools: Iterable[PoolRule], settings: Settings) -> dict[str, Provider]:
    """One provider for each pool, by pool name; the error of a wrong target names the pool."""
    providers: dict[str, Provider] = {}
    for pool in pools:
        try:
            providers[pool.name] = find_factory(pool.provider)(pool, settings)
        except PoolwrightError as error:
            raise type(error)(f"pool {pool.name!r}: {error}") from error
    return providers

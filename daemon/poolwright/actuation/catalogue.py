"""Which providers are installed, and what each needs before it can work here.

A provider that names an extra is not loaded for that: the metadata of installed packages tell
whether its client is there. One that names none has nothing to wait for, so it is loaded, which
finds what is broken in packages of third parties.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Final

from poolwright.actuation.registry import GROUP, TARGETS
from poolwright.actuation.target import Needs, Target
from poolwright.redaction import without_secrets

_REQUIRED: Final = re.compile(
    r"\s*(?P<package>[A-Za-z0-9][A-Za-z0-9._-]*).*;.*\bextra\s*==\s*[\"'](?P<extra>[^\"']+)[\"']"
)


@dataclass(frozen=True, slots=True)
class Installed:
    """One provider that rule files may name."""

    name: str
    package: str
    """The distribution that brings it, with its version."""
    needs: Needs | None = None
    """None: it does not say."""
    client: tuple[str, ...] = ()
    """Packages of its extra that are installed, with their versions."""
    missing: tuple[str, ...] = ()
    """Packages of its extra that are not."""
    error: str = ""
    """Why it cannot be loaded although all that it asks for is there."""

    @property
    def install(self) -> str:
        """The command that brings what is missing; '' where nothing is."""
        if not self.missing or self.needs is None:
            return ""
        return f"pip install '{self.package.partition(' ')[0]}[{self.needs.extra}]'"

    @property
    def works(self) -> bool:
        """Whether a daemon can make it here, as far as that is known without its credentials."""
        return not self.missing and not self.error


def catalogue() -> tuple[Installed, ...]:
    """Every installed provider, by name; nothing about one keeps another from being listed."""
    targets = {point.name: point for point in metadata.entry_points(group=TARGETS)}
    points = sorted(metadata.entry_points(group=GROUP), key=lambda point: point.name)
    return tuple(_described(point, targets.get(point.name)) for point in points)


def _described(point: metadata.EntryPoint, target: metadata.EntryPoint | None) -> Installed:
    package = "" if point.dist is None else f"{point.dist.name} {point.dist.version}"
    try:
        needs = _needs(target)
    except Exception as fault:  # noqa: BLE001  whatever a package does when it is imported
        return Installed(point.name, package, error=_told(target or point, fault))
    wanted = [] if needs is None or needs.extra is None else list(_wanted(point, needs.extra))
    found = {name: _version(name) for name in wanted}
    client = tuple(f"{name} {version}" for name, version in found.items() if version is not None)
    missing = tuple(name for name, version in found.items() if version is None)
    error = "" if missing else _fault(point, load=not wanted)
    return Installed(point.name, package, needs, client, missing, error)


def _needs(target: metadata.EntryPoint | None) -> Needs | None:
    model = None if target is None else target.load()
    return model.needs if isinstance(model, type) and issubclass(model, Target) else None


def _wanted(point: metadata.EntryPoint, extra: str) -> Iterator[str]:
    """The packages of an extra of the provider's distribution."""
    for requirement in () if point.dist is None else point.dist.requires or ():
        found = _REQUIRED.match(requirement)
        if found is not None and found["extra"] == extra:
            yield found["package"]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _fault(point: metadata.EntryPoint, *, load: bool) -> str:
    """Why it cannot be loaded; without `load`, only whether its module is there."""
    try:
        if load:
            point.load()
        elif find_spec(point.module) is None:
            return f"{point.value}: there is no such module; install {point.name}'s package again"
    except Exception as error:  # noqa: BLE001  whatever a package does when it is imported
        return _told(point, error)
    return ""


def _told(point: metadata.EntryPoint, error: Exception) -> str:
    return without_secrets(f"{point.value}: {type(error).__name__}: {error}")

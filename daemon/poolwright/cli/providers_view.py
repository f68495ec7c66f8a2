"""What `poolwright providers` prints: what is installed and what each needs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from poolwright.actuation.catalogue import Installed


def providers_view(found: Sequence[Installed]) -> Group:
    """Each with what it needs, then how many can be used here."""
    parts: list[RenderableType] = []
    for one in found:
        parts += [*_shown(one), Text()]
    usable = sum(one.works for one in found)
    return Group(*parts, Text(f"{len(found)} providers, {usable} can be used here"))


def providers_body(found: Iterable[Installed]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [asdict(one) | {"works": one.works, "install": one.install} for one in found]


def _shown(one: Installed) -> Iterator[RenderableType]:
    about = "" if one.needs is None else one.needs.about
    yield Text.assemble((one.name, "bold"), f"  {about}" if about else "")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text, style in _rows(one):
        table.add_row(Text(name), Text(text, style=style))
    yield Padding(table, (0, 0, 0, 2))


def _rows(one: Installed) -> Iterator[tuple[str, str, str]]:
    if one.error:
        yield "state", f"cannot be loaded: {one.error}", "bold red"
    elif one.missing:
        yield "state", f"not usable yet: {one.install}", "bold yellow"
    else:
        client = f" with {', '.join(one.client)}" if one.client else ""
        yield "state", f"can be used{client}", "green"
    yield "package", one.package or "unknown", ""
    if one.needs is None:
        yield "needs", "it does not say", ""
        return
    yield "credentials", one.needs.credentials or "none", ""
    for i, permission in enumerate(one.needs.permissions):
        yield "" if i else "permissions", permission, ""
    if not one.needs.permissions:
        yield "permissions", "none", ""
    draining = "the least loaded go first" if one.needs.chooses else "its API chooses who goes"
    yield "draining", draining, ""

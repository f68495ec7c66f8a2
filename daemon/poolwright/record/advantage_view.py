"""An accelerator's advantage over the default pools, with the figures of both alternatives."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from poolwright.model.assessment import Advantage
from poolwright.record.learned import BASES, Row
from poolwright.record.wording import exact_duration, number, percent


def advantage_rows(found: Advantage) -> Iterator[Row]:
    """The verdict, then each figure against what the rules require."""
    yield "verdict", _verdict(found)
    if found.kind == "performance":
        yield "because", found.why
    elif found.margin is not None and found.required is not None:
        keeps = ", any keeps it" if found.granted else ""
        yield (
            "margin",
            (
                f"{percent(found.margin)} of the cost that it avoids,"
                f" {percent(found.required)} required{keeps}"
            ),
        )
    floor = f"{percent(found.required_utilisation)} required"
    if found.granted:
        floor += ", four fifths of that keep it"
    used = "unknown" if found.utilisation is None else percent(found.utilisation)
    yield "utilisation", f"{used} at the forecast demand, {floor}"
    held = _held(found)
    if held:
        yield "held", held
    yield (
        "figures",
        (
            f"{found.pool} {BASES[found.basis]}, default pools {BASES[found.default_basis]};"
            " needs and costs at the forecast demand"
        ),
    )


def _verdict(found: Advantage) -> str:
    if found.granted:
        return f"granted, {found.kind}" if found.kind else f"still granted, but {_lacks(found)}"
    if found.kind:
        return f"not granted yet: {found.kind}, but not for long enough"
    return f"not granted: {_lacks(found)}"


def _lacks(found: Advantage) -> str:
    if found.margin is None:
        return "it would take no replica of the default pools over"
    if found.required is None:
        return "the rules name no economic margin"
    if found.margin < (0.0 if found.granted else found.required):
        return "it saves too little" if found.margin >= 0.0 else "it would cost more than it saves"
    return "it would be idle too much"


def _held(found: Advantage) -> str:
    required = exact_duration(found.required_s)
    if found.granted == bool(found.kind):
        return f"for {exact_duration(found.held_s)}, {required} required" if found.granted else ""
    if found.granted:
        return f"lost for {exact_duration(found.held_s)}, it ends after {required}"
    return f"for {exact_duration(found.held_s)}, {required} required"


def alternatives_table(found: Advantage) -> Table:
    """Replicas and cost with and without the accelerator, and what stays unserved if anything."""
    short = any(one.unserved > 0.0 for one in found.alternatives)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="")
    table.add_column("alternative", no_wrap=True)
    table.add_column("replicas", overflow="fold")
    for name in ("USD/h", "USD/1M tokens", *(["unserved"] if short else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.alternatives:
        counts = ", ".join(f"{count} {pool}" for pool, count in one.replicas.items())
        tokens = one.usd_per_million_tokens
        cells = [
            one.name,
            counts or "none",
            number(one.usd_per_hour),
            "?" if tokens is None else f"{tokens:,.2f}",
        ]
        table.add_row(*(Text(cell) for cell in [*cells, *([percent(one.unserved)] * short)]))
    return table

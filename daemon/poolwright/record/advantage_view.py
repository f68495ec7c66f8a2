"""An accelerator's advantage over the default pools, with the figures of both alternatives."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from poolwright.capacity.ended import LEAST_REQUESTS, MINUTES
from poolwright.model.assessment import Advantage, Comparison
from poolwright.record.absence import Absence
from poolwright.record.learned import BASES, Row
from poolwright.record.wording import exact_duration, number, percent, rounded


def advantage_rows(found: Advantage, absence: Absence | None = None) -> Iterator[Row]:
    """The verdict, then each figure against what the rules require."""
    yield "verdict", _verdict(found) + _absent(found, absence)
    if absence is not None:
        yield "absent", absence.advice()
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
    yield from _comparisons(found)
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


def _comparisons(found: Advantage) -> Iterator[Row]:
    """A row for each time that was measured, by class; what is required stands in the first."""
    required = ""
    if found.required_p95_margin is not None:
        required = f"; {percent(found.required_p95_margin)} less required"
        required += ", four fifths of that keep it" if found.granted else ""
    for one in found.comparisons:
        yield f"p95 {one.time}", _comparison(one) + required
        required = ""


def _comparison(found: Comparison) -> str:
    text = f"of {found.request_class} {_time(found.p95_s)}, {found.default_pool} "
    text += _time(found.default_p95_s)
    if found.margin is not None:
        side = "less" if found.margin >= 0.0 else "more"
        text += f": {percent(abs(found.margin))} {side}"
    text += (
        f" (of {found.requests:,} and {found.default_requests:,} requests"
        f" that ended in the last {MINUTES} min"
    )
    if None in (found.p95_s, found.default_p95_s):
        text += f"; fewer than {LEAST_REQUESTS}, or none of late, say nothing"
    return f"{text})"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return f"{rounded(seconds)} s" if seconds >= 1.0 else f"{rounded(seconds * 1e3)} ms"


def _verdict(found: Advantage) -> str:
    if found.granted:
        return f"granted, {found.kind}" if found.kind else f"still granted, but {_lacks(found)}"
    if found.kind:
        return f"not granted yet: {found.kind}, but not for long enough"
    return f"not granted: {_lacks(found)}"


def _absent(found: Advantage, absence: Absence | None) -> str:
    if absence is None:
        return ""
    return f", {'but' if found.kind else 'and'} {absence.words()}"


def _lacks(found: Advantage) -> str:
    if found.margin is None:
        return "it would take no replica of the default pools over"
    if found.margin < 0.0:
        return "it would cost more than it saves"
    if found.required is None:
        return "the rules name no economic margin"
    if found.margin < found.required and not found.granted:
        return "it saves too little"
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

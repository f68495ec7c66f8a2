"""What `poolwright status` prints of the daemon's /status."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from poolwright.model.decision import Outcome
from poolwright.record.absence import Absence
from poolwright.record.sentences import OUTCOMES, REASONS
from poolwright.record.wording import ago, duration, exact_duration, replicas, rounded

Body = Mapping[str, Any]


def status_view(body: Body) -> Group:
    """A table a service, then how telemetry, rules, journal and traces fare."""
    parts: list[Text | Table] = []
    for service, pools in groupby(body["pools"], key=lambda pool: pool["service"]):
        parts.append(_service(service, list(pools), body["at"]))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text, bad in _facts(body):
        facts.add_row(Text(name, style="bold"), Text(text, style="bold red" if bad else ""))
    return Group(*parts, facts)


def _service(service: str, pools: Iterable[Body], now: float) -> Table:
    table = Table(title_justify="left", title_style="bold")
    table.add_column("pool", no_wrap=True)
    for name in ("ready", "starting", "told"):
        table.add_column(name, justify="right")
    table.add_column("bounds", no_wrap=True)
    table.add_column("last decision")
    mode = ""
    for pool in pools:
        mode = pool["mode"]
        table.add_row(
            pool["pool"],
            *(_text(pool[key]) for key in ("ready", "starting", "desired")),
            f"{pool['min']} to {pool['max']}",
            Text("\n".join([_last(pool, now), *_told(pool), *_learned(pool)])),
        )
    table.title = f"{service}, mode {mode}"
    return table


def _text(value: object) -> str:
    return "?" if value is None else str(value)


def _last(pool: Body, now: float) -> str:
    if not pool["owned"]:
        return "another instance controls this service"
    if pool["outcome"] is None:
        return "none yet"
    before, after = pool["decided_from"], pool["decided_to"]
    change = f"at {after}" if before == after else f"from {before} to {after}"
    outcome = OUTCOMES.get(pool["outcome"], pool["outcome"])
    if pool["outcome"] == Outcome.ADVISE:
        change += " replicas"
    reason = REASONS.get(pool["reason"], pool["reason"])
    return f"{outcome} {change}, {ago(now - pool['decided_at'])}: {reason} ({pool['reason']})"


def _told(pool: Body) -> Iterator[str]:
    """The provider's own words; null where there are none."""
    if pool.get("unread"):
        yield f"it cannot be read: {pool['unread']}"
    if pool["short"]:
        yield f"ordered replicas do not come: {pool['short']}"


def _learned(pool: Body) -> Iterator[str]:
    """A line for the first trigger that decides by what was learned; the others are in --json.

    One more where its speed has changed, and where an accelerator is granted and not there.
    """
    for found in pool["learned"][:1]:
        parts = [f"carries {rounded(found['carried_requests_per_s'])} req/s a replica"]
        parts[0] += "" if found["basis"] == "measured" else f" ({found['basis']})"
        if not found["meets"]:
            parts.append(f"cannot meet the SLO of {found['class']}")
        if pool["share"] is None or any(pool["share"].values()):
            parts.append(f"needs {replicas(found['need_replicas'])}")
            if found["upper_replicas"] is not None:
                horizon = exact_duration(found["horizon_s"])
                parts.append(f"{replicas(found['upper_replicas'])} in {horizon}")
        if pool["advantage_granted"] is not None and pool["absence"] is None:
            parts.append("advantage" if pool["advantage_granted"] else "no advantage")
        yield ", ".join(parts)
        if found["drift"]:
            yield found["drift"]
    if pool["absence"] is not None:
        absence = Absence(**pool["absence"])
        yield f"advantage granted, but {absence.words()}"


def _facts(body: Body) -> Iterator[tuple[str, str, bool]]:
    behind = body["ingest_behind"]
    yield "telemetry", _telemetry(body), behind or body["telemetry_age_s"] is None
    if body["reload_error"]:
        text = f"{body['rules_revision']} in force; the newest files are refused, so nothing scales"
        yield "rules", f"{text} down:\n{body['reload_error']}", True
    else:
        yield "rules", f"{body['rules_revision']} in force", False
    if body["journal_error"]:
        yield "journal", f"nothing is scaled: {body['journal_error']}", True
    if body["spans_dropped"]:
        dropped = f"{body['spans_dropped']:,} spans dropped since the start"
        yield "traces", f"{dropped}; `poolwright traces rebuild` sends them again", True


def _telemetry(body: Body) -> str:
    age_s = body["telemetry_age_s"]
    age = "none yet" if age_s is None else f"newest sample {duration(max(age_s, 0.0))} old"
    waiting = sum(body["lag"].values())
    lag = f", {waiting:,} messages not read yet" if body["lag"] else ", no partition assigned"
    behind = "; it is behind, so nothing scales down" if body["ingest_behind"] else ""
    return f"{age}{lag}{behind}"

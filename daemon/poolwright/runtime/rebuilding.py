"""The `traces rebuild` command: which decisions, progress, what came of it."""

from rich.console import Console
from rich.progress import Progress

from poolwright.errors import SettingsError
from poolwright.record.journal import Journal
from poolwright.record.rebuild import Rebuilt, rebuild_traces
from poolwright.record.wording import when
from poolwright.runtime.timekeeping import make_clock
from poolwright.settings import Settings

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
SENT, NOT_FOUND, NOT_SENT = 0, 1, 3


def seconds_back(text: str) -> float:
    """`90m`, `24h`, `7d`. Raises SettingsError."""
    digits, unit = text[:-1], text[-1:]
    if unit not in UNITS or not digits.isdecimal():
        msg = f"--since {text}: write how far back as a whole number and s, m, h or d, such as 24h"
        raise SettingsError(msg)
    return int(digits) * UNITS[unit]


def rebuild(
    settings: Settings, since: str, decision: str | None, out: Console, err: Console
) -> int:
    """The exit code: 0 all sent, 1 no such decision, 3 the endpoint did not take everything."""
    now = make_clock(settings.clock).now()
    start = now - seconds_back(since)
    journal = Journal(settings.data / "journal.db", read_only=True)
    try:
        if decision is None:
            result = _send(settings, journal, start, err)
        else:
            stored = journal.decision(decision)
            if stored is None:
                err.print(f"no decision {decision!r} in {journal.path}", highlight=False)
                return NOT_FOUND
            result = rebuild_traces(journal, settings.tracing, [stored])
    finally:
        journal.close()
    endpoint = settings.tracing.otlp_endpoint
    out.print(f"{result.spans:,} spans of {result.decisions:,} decisions sent to {endpoint}")
    if result.failed_at is None:
        return SENT
    err.print(
        f"{endpoint} did not take all of them, from {when(result.failed_at, now)} on;"
        " run it again when the endpoint answers: what arrived already keeps its ids",
        highlight=False,
    )
    return NOT_SENT


def _send(settings: Settings, journal: Journal, start: float, err: Console) -> Rebuilt:
    total = journal.count_since(start)
    with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("sending traces", total=total)
        return rebuild_traces(
            journal,
            settings.tracing,
            journal.since(start),
            progress=lambda done: bar.update(task, completed=done),
        )

"""Traces made of records: a journal, or what Prometheus has kept."""

from pathlib import Path

from poolwright.backtest.world import Trace
from poolwright.errors import HistoryError
from poolwright.history import DemandRecord, Prometheus, draw, journal_records
from poolwright.model.rule import ServiceRule
from poolwright.settings import HistorySettings

STEP_S = 120
"""Of a row from Prometheus: two scrapes of the usual minute at least."""
DAY_S = 86400.0


def journal_trace(
    path: Path, service: ServiceRule, days: float, seed: int
) -> tuple[Trace, list[str]]:
    """The last days of the journal, and what is to be known of it. Raises HistoryError."""
    record = journal_records(path, {service.service}).get(service.service)
    if record is None:
        msg = (
            f"{path}: knows nothing of the demand of {service.service}; its decisions do while the "
            "service has an `slo` or `forecast` trigger"
        )
        raise HistoryError(msg)
    return _trace(path.name, str(path), record.last(days * DAY_S), service, seed)


def prometheus_trace(
    url: str, settings: HistorySettings, service: ServiceRule, days: float, seed: int, now: float
) -> tuple[Trace, list[str]]:
    """The last days before `now`, and what is to be known of them. Raises HistoryError."""
    rows = max(1, round(days * DAY_S / STEP_S))
    start = (now // STEP_S - rows) * STEP_S
    record = Prometheus(url, settings).demand(service.service, start, rows, STEP_S)
    return _trace("prometheus", f"{service.service} in Prometheus", record, service, seed)


def _trace(
    name: str, source: str, record: DemandRecord, service: ServiceRule, seed: int
) -> tuple[Trace, list[str]]:
    try:
        drawn = draw(record, seed)
    except HistoryError as error:
        msg = f"{source}: {error}"
        raise HistoryError(msg) from error
    warnings = []
    if drawn.gaps:
        warnings.append(
            f"{source}: {drawn.left_out_s / 3600:.1f} h of which nothing is known are left out "
            f"(gaps: {drawn.gaps}); what follows a gap follows it at once"
        )
    if len(service.classes) > 1:
        warnings.append(
            f"{source}: a record does not say which class a request is of; all are "
            f"{service.classes[0].name}"
        )
    return Trace(name, drawn.workload), warnings

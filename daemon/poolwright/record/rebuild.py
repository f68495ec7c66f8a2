"""Makes the traces of recorded decisions again and sends them to the OTLP endpoint.

Trace and span ids derive from the decision's id, and times and attributes from what is recorded:
a span that is sent twice is the same span, which backends keep once.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from poolwright.errors import SettingsError
from poolwright.model.pool import ActionStatus
from poolwright.record.journal import Journal, StoredDecision
from poolwright.record.traces import Tracing
from poolwright.settings import TraceSettings

SENT_AT_ONCE = 512
"""Far below what may wait, so that nothing is dropped for lack of room."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    decisions: int
    spans: int
    """Delivered to the endpoint."""
    failed_at: float | None = None
    """Time of the first decision whose spans may not have been delivered; then it ended."""


def rebuild_traces(
    journal: Journal,
    settings: TraceSettings,
    decisions: Iterable[StoredDecision],
    progress: Callable[[int], None] = lambda _: None,
) -> Rebuilt:
    """Sends every span of these decisions and their actions; ends at the first failed export."""
    if settings.otlp_endpoint is None:
        msg = (
            "no OTLP endpoint is set, so the traces are in the journal already;"
            " to send them somewhere set POOLWRIGHT_TRACING__OTLP_ENDPOINT"
        )
        raise SettingsError(msg)
    tracing = Tracing(settings, journal)
    count, unsent_since = 0, None
    try:
        for stored in decisions:
            unsent_since = stored.decision.at if unsent_since is None else unsent_since
            _trace(tracing, journal, stored)
            count += 1
            if tracing.waiting >= SENT_AT_ONCE:
                tracing.flush(None)
                progress(count)
                if tracing.dropped:
                    break
                unsent_since = None
        tracing.flush(None)
        failed_at = unsent_since if tracing.dropped else None
        return Rebuilt(count, tracing.delivered, failed_at)
    finally:
        tracing.close()


def _trace(tracing: Tracing, journal: Journal, stored: StoredDecision) -> None:
    decision = stored.decision
    tracing.trace_decision(decision)
    done = False
    for action in journal.actions(decision.id):
        tracing.trace_action(decision, action.report, action.attempts, after_done=done)
        done = done or action.report.status is ActionStatus.DONE

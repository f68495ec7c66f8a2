"""Prometheus metrics of the daemon itself, in a registry of its own."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from poolwright.model.decision import Decision
from poolwright.model.pool import ActionReport, PoolReport
from poolwright.record.learned_metrics import LearnedGauges

PREFIX = "poolwright_"


class Recording(Protocol):
    """How writing to the journal goes."""

    error: str | None
    errors: int


class Exporting(Protocol):
    """How the delivery of spans goes."""

    @property
    def dropped(self) -> int: ...


class _LiveCounter(Collector):
    """Reads its total when it is asked for, so that it is true at any time."""

    def __init__(self, name: str, text: str, read: Callable[[], int]) -> None:
        self._name, self._text, self._read = PREFIX + name, text, read

    @override
    def collect(self) -> Iterable[CounterMetricFamily]:
        yield CounterMetricFamily(self._name, self._text, value=self._read())


class DaemonMetrics:
    """The runtime says what happened; /metrics shows it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(PREFIX + name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(PREFIX + name, text, labels, registry=registry)

        self._decisions = counter(
            "decisions", "Recorded decisions.", "service", "pool", "outcome", "reason"
        )
        self._actions = counter("actions", "Statuses of actions.", "pool", "status", "cause")
        self._samples = counter("samples", "Samples consumed.")
        self._dead = counter("dead_letters", "Messages or events refused.", "reason")
        self._checks = gauge("checks", "Evaluations that found nothing new.")
        self._late = gauge("late_samples", "Samples too late for their windows.")
        self._replicas = gauge("replicas", "Replicas by state.", "pool", "state")
        self._outside = gauge(
            "pool_changed_outside", "1 while somebody else has set the count.", "pool"
        )
        self._short = gauge(
            "pool_short", "1 while the provider says that ordered replicas do not come.", "pool"
        )
        self._age = gauge("telemetry_age_seconds", "Age of the newest sample.")
        self._lag = gauge("consumer_lag_messages", "Messages not consumed yet.", "partition")
        self._failed = gauge("rules_reload_failed", "1 while the newest rules are refused.")
        self._info = gauge("rules_info", "The revision in force.", "revision")
        self._dead_dropped = gauge("dead_letters_dropped", "Dead letters that were not written.")
        self._learned = LearnedGauges(PREFIX)
        registry.register(self._learned)
        self._startup = Histogram(
            PREFIX + "startup_seconds",
            "From order to ready.",
            ["pool"],
            buckets=(15, 30, 60, 90, 120, 180, 240, 300, 600, 1200),
            registry=registry,
        )
        self._calls = Histogram(
            PREFIX + "provider_call_seconds",
            "Calls of provider APIs, by the kind of their error or ''.",
            ["operation", "error"],
            registry=registry,
        )
        self.decide_seconds = Histogram(
            PREFIX + "decide_seconds",
            "One step of the core.",
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5),
            registry=registry,
        )

    def recording(self, journal: Recording, spans: Exporting) -> None:
        """Shows how recording goes from now on, read at each scrape."""
        failing = Gauge(
            PREFIX + "journal_failing",
            "1 while the journal cannot be written and nothing is scaled.",
            registry=self.registry,
        )
        failing.set_function(lambda: float(journal.error is not None))
        for name, text, read in (
            ("journal_errors", "Writes to the journal that failed.", lambda: journal.errors),
            ("spans_dropped", "Spans that were not delivered.", lambda: spans.dropped),
        ):
            self.registry.register(_LiveCounter(name, text, read))

    def ingested(self, samples: int, dead: Mapping[str, int]) -> None:
        self._samples.inc(samples)
        for reason, count in dead.items():
            self._dead.labels(reason).inc(count)

    def decided(self, decision: Decision) -> None:
        self._decisions.labels(
            decision.service, decision.pool, decision.outcome.value, decision.reason.value
        ).inc()
        self._outside.labels(decision.pool).set("left_at" in decision.evidence)
        self._learned.note(decision)

    def called(self, operation: str, seconds: float, error: str) -> None:
        self._calls.labels(operation, error).observe(seconds)

    def acted(self, report: ActionReport) -> None:
        self._actions.labels(report.pool, report.status.value, report.cause).inc()
        if report.startup_s is not None:
            self._startup.labels(report.pool).observe(report.startup_s)

    def ticked(
        self,
        *,
        checks: int,
        late: int,
        pools: Mapping[str, PoolReport],
        age_s: float | None,
        lag: Mapping[str, int],
        dead_letters_dropped: int,
    ) -> None:
        """The gauges after a tick; an unknown age is NaN, never zero."""
        self._checks.set(checks)
        self._late.set(late)
        self._age.set(float("nan") if age_s is None else age_s)
        self._dead_dropped.set(dead_letters_dropped)
        for pool, report in pools.items():
            self._replicas.labels(pool, "ready").set(report.ready)
            self._replicas.labels(pool, "starting").set(report.starting)
            self._replicas.labels(pool, "desired").set(report.desired)
            self._short.labels(pool).set(bool(report.short))
        for partition, messages in lag.items():
            self._lag.labels(partition).set(messages)

    def reload(self, *, failed: bool, revision: str) -> None:
        self._failed.set(int(failed))
        self._info.clear()
        self._info.labels(revision).set(1)

"""A store with short ways to put samples in and to ask for signals."""

import numpy as np

from poolwright.model.names import NameTable
from poolwright.model.rule import Mode, RuleSet, ServiceRule, SignalRule
from poolwright.model.sample import (
    REPLICA_METRICS,
    ArrivalBatch,
    ReplicaBatch,
    RequestBatch,
    SampleBatch,
)
from poolwright.signals.store import WindowStore

NAN = float("nan")
DEMAND = SignalRule("demand", "demand", "last", 60.0, builtin=True)


class Bench:
    """A store with short ways to put samples in and to ask for signals."""

    def __init__(self) -> None:
        self.names = NameTable()
        self.store = WindowStore(self.names)

    def put(self, *, arrivals=(), requests=(), replicas=(), now=1e9, service="chat") -> None:
        """Arrivals (at, tokens[, class]), requests (at, ttft[, class]), replicas (at, id, {})."""
        ids = lambda names: np.array([self.names.intern(n) for n in names], np.int32)  # noqa: E731
        arrivals = [(*a, "")[:3] for a in arrivals]
        requests = [(*r, "")[:3] for r in requests]
        count, nans = len(requests), np.full(len(requests), NAN)
        batch = SampleBatch(
            self.names,
            ArrivalBatch(
                np.array([a[0] for a in arrivals], float),
                ids([service] * len(arrivals)),
                ids([a[2] for a in arrivals]),
                np.array([a[1] for a in arrivals], float),
            ),
            RequestBatch(
                np.array([r[0] for r in requests], float),
                ids([service] * count),
                ids(["gpu"] * count),
                ids(["r"] * count),
                ids([r[2] for r in requests]),
                np.full(count, 100.0),
                np.full(count, 10.0),
                np.array([r[1] for r in requests], float),
                nans,
                nans,
                np.ones(count, bool),
            ),
            ReplicaBatch(
                np.array([r[0] for r in replicas], float),
                ids([service] * len(replicas)),
                ids(["gpu"] * len(replicas)),
                ids([r[1] for r in replicas]),
                np.array(
                    [[r[2].get(m, NAN) for m in REPLICA_METRICS] for r in replicas], float
                ).reshape(-1, len(REPLICA_METRICS)),
            ),
        )
        self.store.ingest(batch, at=now)

    def waiting(self, *samples: tuple[float, str, float], now: float = 1e9) -> None:
        self.put(replicas=[(at, name, {"requests_waiting": v}) for at, name, v in samples], now=now)

    def work(self, at: float, name: str, running: float, waiting: float) -> None:
        metrics = {"requests_running": running, "requests_waiting": waiting}
        self.put(replicas=[(at, name, metrics)], now=1e9)

    def ask(self, rule: SignalRule, at: float, expected: int = 1):
        return self.store.evaluate(
            rule, service="chat", pool="gpu", at=at, expected_replicas=expected
        )


def gauge(stat: str = "last", across: str = "sum", window_s: float = 60.0, **more) -> SignalRule:
    return SignalRule("s", "requests_waiting", stat, window_s, across, **more)


def rule(metric: str, stat: str, window_s: float = 60.0, **more) -> SignalRule:
    return SignalRule("s", metric, stat, window_s, **more)


def rules(*signals: SignalRule) -> RuleSet:
    return RuleSet("r", (ServiceRule("chat", Mode.ACT, (), (), signals, ()),))

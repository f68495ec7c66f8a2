"""What became of the requests: latencies of those that ended, and those that are too late."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from poolwright.model.rule import ClassRule
from poolwright.simulation.replica import Request

PATIENCE_S = 600.0
"""For a class that limits neither the first token nor the end: nobody waits longer than this."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a plant has done until now.

    `attainment` of a class is the share that kept its SLO among the requests that ended and the
    overdue ones; requests that can still keep it are left out. `overdue` counts requests in flight
    that miss their SLO whenever they end. Latencies are of the requests that ended.
    """

    submitted: int
    ended: int
    attainment: Mapping[str, float]
    latency: Mapping[str, float]
    overdue: int = 0
    replica_seconds: Mapping[str, float] = field(default_factory=dict)
    """By pool, from order to release."""
    cost_usd: Mapping[str, float] = field(default_factory=dict)
    """By pool, from order to release, at least the lease of every order."""


def overdue(rule: ClassRule, request: Request, now: float) -> bool:
    """True when a request in flight misses its SLO even if it ended this instant."""
    age_s = now - request.at
    first = request.first_token_at
    ttft_s = age_s if first is None else first - request.at
    itl_s = 0.0 if first is None else (now - first) / max(1, request.output_tokens - 1)
    e2e_limit_s = PATIENCE_S if rule.ttft_s is None and rule.e2e_s is None else rule.e2e_s
    figures = ((ttft_s, rule.ttft_s), (itl_s, rule.itl_s), (age_s, e2e_limit_s))
    return any(limit is not None and figure > limit for figure, limit in figures)


class Ledger:
    """Latencies in seconds as columns ttft, itl, e2e for each class."""

    def __init__(self) -> None:
        self.ended = 0
        self._columns: dict[str, tuple[array[float], array[float], array[float]]] = {}

    def record(self, request_class: str, ttft_s: float, itl_s: float, e2e_s: float) -> None:
        columns = self._columns.get(request_class)
        if columns is None:
            columns = self._columns[request_class] = (array("d"), array("d"), array("d"))
        columns[0].append(ttft_s)
        columns[1].append(itl_s)
        columns[2].append(e2e_s)
        self.ended += 1

    def attainment(
        self, classes: Sequence[ClassRule], in_flight: Iterable[Request], now: float
    ) -> tuple[dict[str, float], int]:
        """Shares by class, and how many requests are overdue. Classes without any are left out."""
        late = dict.fromkeys((rule.name for rule in classes), 0)
        rules = {rule.name: rule for rule in classes}
        for request in in_flight:
            rule = rules.get(request.request_class)
            if rule is not None and overdue(rule, request, now):
                late[rule.name] += 1
        shares = {}
        for rule in classes:
            columns = self._columns.get(rule.name, ())
            limits = (rule.ttft_s, rule.itl_s, rule.e2e_s)
            due = late[rule.name] + (len(columns[0]) if columns else 0)
            if due:
                kept = np.ones(due - late[rule.name], bool)
                for column, limit in zip(columns, limits, strict=False):
                    if limit is not None:
                        kept &= np.asarray(column) <= limit
                shares[rule.name] = float(kept.sum()) / due
        return shares, sum(late.values())

    def latency(self) -> dict[str, float]:
        """`ttft_p50_s` and its like, over all classes; empty when nothing ended."""
        found = {}
        for index, name in ((0, "ttft"), (1, "itl")):
            columns = [np.asarray(c[index]) for c in self._columns.values()]
            if columns:
                values = np.concatenate(columns)
                for percent in (50, 99):
                    found[f"{name}_p{percent}_s"] = float(np.percentile(values, percent))
        return found

"""Which metrics the rules ask of each service's requests or arrivals, and since when they do.

A metric that no signal asks for is not kept. One that a new rule set asks for is kept from then on:
what came before is not known, and a count of it would be too small for a window's length.
"""

import math
from collections.abc import Mapping

import numpy as np

from poolwright.model.names import NameTable
from poolwright.model.rule import RuleSet
from poolwright.model.sample import Bools, Floats, Ids

Since = dict[str, dict[str, float]]
"""By service and metric; -inf where nothing has been missed."""


class Asked:
    """The metrics of one kind of sample by service; all of all services before any rules."""

    __slots__ = ("_always", "_columns", "_metrics", "_names", "since")

    def __init__(self, names: NameTable, metrics: tuple[str, ...], always: frozenset[str]) -> None:
        self._names = names
        self._metrics = metrics
        self._always = always
        self._columns: dict[int, Bools] = {}
        """By service number, which of the metrics."""
        self.since: Since | None = None

    def use(self, rules: RuleSet, newest: Mapping[int, float]) -> None:
        """Asks for what these rules do; `newest` is the time of each service's newest sample."""
        before, after = self.since, {}
        for service in rules.services:
            number = self._names.find(service.service)
            missed, had = -math.inf, {}
            if before is not None:
                missed = newest.get(-1 if number is None else number, -math.inf)
                had = before.get(service.service, {})
            wanted = self._always.union(rule.metric for rule in service.signals)
            after[service.service] = {
                metric: had.get(metric, missed) for metric in self._metrics if metric in wanted
            }
        self.since = after
        self._columns = {}

    def restore(self, since: Since | None) -> None:
        """Goes on from what was asked before a restart."""
        self.since = since
        self._columns = {}

    def missed(self, service: int, metric: str, since: float) -> bool:
        """Whether samples in panes that end after `since` may have come before it was asked for."""
        if self.since is None or service < 0:
            return False
        asked = self.since.get(self._names.name(service), {})
        return math.floor(since) < asked.get(metric, -math.inf)

    def keep(self, service: Ids, values: Floats) -> Bools:
        """Makes what nobody asks for NaN in (metric, sample); which samples have some left."""
        if self.since is None:
            return np.ones(len(service), dtype=np.bool_)
        numbers, which = np.unique(service, return_inverse=True)
        wanted = np.stack([self._of(number) for number in numbers.tolist()], axis=1)[:, which]
        np.copyto(values, np.nan, where=~wanted)
        some: Bools = np.logical_or.reduce(wanted, axis=0)
        return some

    def _of(self, number: int) -> Bools:
        found = self._columns.get(number)
        if found is None:
            asked = self._always.union((self.since or {}).get(self._names.name(number), ()))
            found = self._columns[number] = np.array([metric in asked for metric in self._metrics])
        return found

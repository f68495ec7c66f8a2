"""Warms the season of every service at the daemon's start, beside the loops.

First from the journal, which the daemon measured itself, then from Prometheus. Whatever fails is
a warning: a daemon without its past works, it only takes days to know them again.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

from poolwright.clock import Clock
from poolwright.decision import CoreState, use_rules
from poolwright.errors import PoolwrightError
from poolwright.forecasting.season import BIN_S
from poolwright.history.journal import journal_records
from poolwright.history.prometheus import Prometheus
from poolwright.history.record import DemandRecord, season_bins
from poolwright.model.rule import RuleSet
from poolwright.settings import Settings

log = logging.getLogger("poolwright")

DAY_S = 86400.0


class Warmed(Protocol):
    """What is asked of the daemon. `state` and `rules` may be replaced meanwhile."""

    settings: Settings
    clock: Clock
    state: CoreState

    @property
    def rules(self) -> RuleSet: ...


async def keep_warm(daemon: Warmed) -> None:
    """Warms once and then waits to be cancelled, as one of the daemon's loops."""
    await warm(daemon)
    await asyncio.Event().wait()


async def warm(daemon: Warmed) -> None:
    """Fills what the seasons do not know. Raises nothing of what reading may raise."""
    use_rules(daemon.state, daemon.rules)
    settings = daemon.settings.history
    since = daemon.clock.now() - settings.days * DAY_S
    learners = daemon.state.learners
    # A season that came back with the checkpoint knows all that the journal could tell.
    empty = {name for name, learner in learners.items() if learner.demand.season.newest is None}
    if empty:
        path = daemon.settings.data / "journal.db"
        try:
            found = await asyncio.to_thread(journal_records, path, empty, since)
        except PoolwrightError as error:
            log.warning("past demand cannot be read from the journal: %s", error)
        else:
            _remember(daemon, found, "the journal")
    if settings.prometheus_url is None:
        return
    server = Prometheus(settings.prometheus_url, settings)
    first = int(since // BIN_S) + 1
    rows = int(daemon.clock.now() // BIN_S) - first
    for service in sorted(learners) if rows > 0 else ():
        asked = asyncio.to_thread(server.requests, service, first * BIN_S, rows, BIN_S)
        try:
            async with asyncio.timeout(settings.timeout_s):
                record = await asked
        except (PoolwrightError, TimeoutError) as error:
            why = str(error) or f"no answer within {settings.timeout_s:g} s"
            log.warning("past demand of %s cannot be read from Prometheus: %s", service, why)
        else:
            _remember(daemon, {service: record}, "Prometheus")


def _remember(daemon: Warmed, found: Mapping[str, DemandRecord], source: str) -> None:
    """The services may be others than those that were asked for."""
    for service, record in found.items():
        learner = daemon.state.learners.get(service)
        if learner is not None:
            bins = learner.remember(*season_bins(record, until=daemon.clock.now()))
            hours = bins * BIN_S / 3600
            log.info("%s: %.1f h of past demand from %s", service, hours, source)

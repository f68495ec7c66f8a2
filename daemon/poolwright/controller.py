"""The public Python API: the very core that the daemon runs, with rule files around it.

No hidden clock, no thread, no network: the caller gives telemetry, provider reports and the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from poolwright.decision import dump_state, load_state, new_state, next_wake, step
from poolwright.model.decision import Decision
from poolwright.model.names import NameTable
from poolwright.model.pool import ActionReport, PoolReport
from poolwright.model.rule import RuleSet
from poolwright.model.sample import SampleBatch
from poolwright.model.tick import Health, Tick
from poolwright.rulefiles import load, load_sources
from poolwright.telemetry.decoder import DeadLetter, Decoder

Record = bytes | Mapping[str, object] | SampleBatch
MAX_REJECTED = 1000


class Controller:
    """Feeds the pure core and returns its decisions.

    Times are seconds since the epoch, in event time. A decision to scale is taken as carried out
    until a newer report (or `acted`) says otherwise.
    """

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._state = new_state()
        self._decoder = self._make_decoder()
        self._batches: list[SampleBatch] = []
        self._reports: list[PoolReport] = []
        self._actions: list[ActionReport] = []
        self._health = Health()
        self.rejected: list[DeadLetter] = []
        """Records that could not be used, with the reason; the last 1,000."""
        self.next_wake: float | None = None
        """When the controller next wants to be asked; None before the first `decide`."""

    @classmethod
    def from_rules(cls, path: str | Path) -> Controller:
        """Reads one rule file or a directory of them. Raises RuleFileError with every problem."""
        return cls(load(Path(path)))

    @classmethod
    def from_sources(cls, sources: Mapping[str, str]) -> Controller:
        """As `from_rules`, from texts by file name."""
        return cls(load_sources(sources))

    @property
    def rules(self) -> RuleSet:
        return self._rules

    @property
    def names(self) -> NameTable:
        """The table that batches given to `ingest` must be decoded with; new after `restore`."""
        return self._state.names

    @property
    def checks(self) -> int:
        """Evaluations so far that found nothing new and made no decision."""
        return self._state.checks

    def _make_decoder(self) -> Decoder:
        services = frozenset(service.service for service in self._rules.services)
        return Decoder(self._state.names, services)

    def use_rules(self, rules: RuleSet) -> None:
        """Another rule set from the next `decide` on; timers and windows go on."""
        self._rules = rules
        self._decoder = self._make_decoder()

    def ingest(self, records: Iterable[Record]) -> int:
        """Takes native JSON messages, events as mappings, or batches; returns samples accepted.

        A record that cannot be used is put in `rejected` and stops nothing.
        """
        values: list[bytes] = []
        accepted = 0
        for record in records:
            match record:
                case bytes():
                    values.append(record)
                case SampleBatch():
                    if record.names is not self._state.names:
                        msg = "the batch was decoded with another name table; use Controller.names"
                        raise ValueError(msg)
                    self._batches.append(record)
                    accepted += len(record)
                case _:
                    values.append(msgspec.json.encode(record))
        if values:
            batch, dead = self._decoder.decode(values, now=None, places=None)
            self._batches.append(batch)
            accepted += len(batch)
            if dead:
                self.rejected = (self.rejected + dead)[-MAX_REJECTED:]
        return accepted

    def report(
        self,
        pool: str,
        *,
        at: float,
        ready: int,
        starting: int = 0,
        desired: int | None = None,
        terminating: int = 0,
        short: str = "",
    ) -> None:
        """What the provider says of a pool; `desired` is ready + starting unless given.

        `short` are its words why replicas that were ordered do not come.
        """
        told = ready + starting if desired is None else desired
        self.reported(PoolReport(pool, at, told, ready, starting, terminating, short))

    def reported(self, report: PoolReport) -> None:
        """The same, where the caller has it as a report."""
        self._reports.append(report)

    def acted(self, action: ActionReport) -> None:
        """How an action went, where the caller knows (refused, given up, done, confirmed)."""
        self._actions.append(action)

    def health(self, *, ingest_behind: bool = False, reload_failed: bool = False) -> None:
        """What makes telemetry or rules untrustworthy as a whole, from now on."""
        self._health = Health(ingest_behind, reload_failed)

    def decide(self, now: float) -> list[Decision]:
        """Decides for every pool; a check that finds nothing new yields no decision."""
        tick = Tick(
            at=now,
            rules=self._rules,
            samples=tuple(self._batches),
            pools=tuple(self._reports),
            actions=tuple(self._actions),
            health=self._health,
        )
        self._batches, self._reports, self._actions = [], [], []
        self._state, decisions = step(self._state, tick)
        self.next_wake = next_wake(tick)
        return list(decisions)

    def dump(self) -> bytes:
        """The whole state, to go on from later with `restore`."""
        return dump_state(self._state)

    def restore(self, data: bytes) -> None:
        """Goes on from a `dump`; the rules stay those of this controller."""
        self._state = load_state(data)
        self._decoder = self._make_decoder()

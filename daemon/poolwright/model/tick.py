"""A tick: everything that the core may know at one instant."""

from dataclasses import dataclass

from poolwright.model.pool import ActionReport, PoolReport
from poolwright.model.rule import RuleSet
from poolwright.model.sample import SampleBatch


@dataclass(frozen=True, slots=True)
class Health:
    """What makes telemetry or rules untrustworthy as a whole."""

    ingest_behind: bool = False
    reload_failed: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    rules: RuleSet
    samples: tuple[SampleBatch, ...] = ()
    pools: tuple[PoolReport, ...] = ()
    actions: tuple[ActionReport, ...] = ()
    health: Health = Health()
    owned: frozenset[str] | None = None
    """Services that this instance controls; None: all."""

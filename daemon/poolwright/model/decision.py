"""Proposals, what the limits did to them, and the decision; with all inputs, to decide it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from poolwright.model.assessment import Advantage, Assessment, Share
from poolwright.model.pool import PoolReport
from poolwright.model.sample import TraceContext
from poolwright.model.signal import Signal
from poolwright.model.tick import Health


class Outcome(StrEnum):
    SCALE_UP = "scale_up"
    SCALE_DOWN = "scale_down"
    HOLD = "hold"
    BLOCKED = "blocked"
    ADVISE = "advise"


class Reason(StrEnum):
    """The closed list. docs/traces.md says each in a sentence."""

    PROPOSED = "proposed"
    """A trigger's proposal is carried out (whole or as far as the limits let it)."""
    BOUNDS = "bounds"
    STEADY = "steady"
    """Triggers have spoken and ask for the count that is."""
    NO_OPINION = "no_opinion"
    """No trigger asks for anything."""
    UNKNOWN_POOL = "unknown_pool"
    """The provider has not reported yet."""
    TELEMETRY_UNHEALTHY = "telemetry_unhealthy"
    INGEST_BEHIND = "ingest_behind"
    RELOAD_FAILED = "reload_failed"
    PAUSED = "paused"
    FROZEN = "frozen"
    NO_ADVANTAGE = "no_advantage"
    STEP = "step"
    COOLDOWN = "cooldown"
    STABILISING = "stabilising"
    BUDGET = "budget"
    STOCK = "stock"
    """The provider had no capacity lately."""
    FLEET_BUDGET = "fleet_budget"
    """All services' common budget leaves this pool no more, or asks for some back."""
    FLEET_STOCK = "fleet_stock"
    """As FLEET_BUDGET, of a kind of replica that several pools share."""
    PROVIDER_FAILING = "provider_failing"
    """The last action was refused or given up; the next waits for a back-off."""
    IDLE = "idle"
    """Nobody has asked for as long as the pool waits before it goes to zero, or stays there."""
    WOKEN = "woken"
    """A request came while the pool was at zero."""
    CHANGED_OUTSIDE = "changed_outside"
    """Somebody else set the count, and the rule says that the pool is left alone then."""
    RESTORED = "restored"
    """Somebody else set the count, and the rule says that it goes back."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A trigger's wish: `replicas` is None when it has none; `evidence` are the numbers behind it.

    `blind` names the signals that it lacked.
    """

    trigger: str
    kind: str
    replicas: int | None
    evidence: Mapping[str, float]
    blind: tuple[str, ...] = ()
    since: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LimitEffect:
    """A limit changed the number from `before` to `after`; `detail` says by which figures."""

    limit: Reason
    before: int
    after: int
    detail: str


@dataclass(frozen=True, slots=True)
class FleetRoom:
    """The most replicas that the fleet leaves a pool; fewer than it has: the rest is given back.

    `limit` is FLEET_BUDGET or FLEET_STOCK, `detail` its figures and who is to have the rest.
    """

    most: int
    limit: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class ReplicaLoad:
    """What a replica said that it has to do, when it last reported."""

    replica: str
    at: float
    running: float
    waiting: float
    kv_cache_usage: float | None
    """0 to 1; None where it does not say."""


@dataclass(frozen=True, slots=True)
class Idleness:
    """What tells whether a pool that may go to zero has anything to do."""

    quiet: bool
    """Every replica is ready, has reported lately, and has nothing running or waiting."""
    asked_at: float | None
    """When the newest request of the service came or ended; None: none was ever seen."""


@dataclass(frozen=True, slots=True)
class PoolInputs:
    """What one pool's decision saw, beside its memory and the rules of that revision."""

    at: float
    rules_revision: str
    service: str
    pool: str
    report: PoolReport | None
    signals: tuple[Signal, ...]
    health: Health
    other_cost_usd_per_hour: float = 0.0
    """Of the service's other pools, at what they are told to have."""
    contexts: tuple[TraceContext, ...] = ()
    assessments: tuple[Assessment, ...] = ()
    """Of this pool, one for each of its triggers that decide by what was learned."""
    share: Share | None = None
    """Of the service's demand, where the plan of several pools gives this pool one."""
    advantage: Advantage | None = None
    """Of an accelerator pool."""
    fleet: FleetRoom | None = None
    """None where nothing limits the pool before its own bounds do, and in the record of a decision
    that it made no difference to."""
    least_loaded: tuple[ReplicaLoad, ...] = ()
    """Of a decision to scale down: the replicas that go first, at most as many as go."""
    idleness: Idleness | None = None
    """Of a pool that may go to zero when nobody asks."""


@dataclass(frozen=True, slots=True)
class Decision:
    id: str
    at: float
    service: str
    pool: str
    current: int
    desired: int
    outcome: Outcome
    reason: Reason
    proposals: tuple[Proposal, ...]
    limits: tuple[LimitEffect, ...]
    evidence: Mapping[str, str | float | None]
    rules_revision: str
    inputs: PoolInputs
    memory: bytes
    """The pool's memory before it (JSON): with `inputs` and the rules it decides again."""

    @property
    def acts(self) -> bool:
        """True when a provider call must follow."""
        return self.outcome in (Outcome.SCALE_UP, Outcome.SCALE_DOWN)

    @property
    def drain(self) -> tuple[str, ...]:
        """Names of the replicas to let go first, the least loaded one first.

        Fewer than go, or none, where replicas have not said lately what they have to do.
        """
        return tuple(load.replica for load in self.inputs.least_loaded)

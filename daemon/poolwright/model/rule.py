"""Rules as the core sees them: validated, in seconds, USD and fractions, conditions compiled."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from poolwright.errors import Problem


class Mode(StrEnum):
    ACT = "act"
    ADVISE = "advise"
    PAUSED = "paused"


class PoolRole(StrEnum):
    DEFAULT = "default"
    ACCELERATOR = "accelerator"


@dataclass(frozen=True, slots=True)
class ClassRule:
    """SLO of one request class: seconds, attainment as a fraction."""

    name: str
    ttft_s: float | None = None
    itl_s: float | None = None
    e2e_s: float | None = None
    attainment: float = 0.99


@dataclass(frozen=True, slots=True)
class Profile:
    """Declared speed: itl = itl_base + itl_per_request·batch, prefill = base + per_token·tokens."""

    itl_base_s: float
    itl_per_request_s: float
    prefill_base_s: float
    prefill_per_token_s: float
    max_batch: int


@dataclass(frozen=True, slots=True)
class AdvantageRule:
    """Margins are fractions; an accelerator pool grows only while one of them holds."""

    economic: float | None
    performance: float | None
    held_for_s: float = 600.0
    min_utilisation: float = 0.6


class OutsideChange(StrEnum):
    """What happens when somebody else sets the pool's count."""

    ADOPT = "adopt"
    """The new count is where the next decision starts from."""
    RESTORE = "restore"
    """The count goes back to what Poolwright left it at, at the pace of the limits."""
    ALARM = "alarm"
    """The pool is left alone, and said to be, until the count is back or the rule is another."""


@dataclass(frozen=True, slots=True)
class PoolRule:
    name: str
    role: PoolRole
    provider: str
    """Entry-point name of the provider."""
    target: Mapping[str, object]
    """The provider's own part of the rule file, checked by the provider."""
    min_replicas: int
    max_replicas: int
    price_usd_per_hour: float | None = None
    startup_s: float = 180.0
    lease_s: float = 0.0
    serves: tuple[str, ...] = ()
    """Request classes; empty: all of the service."""
    profile: Profile | None = None
    advantage: AdvantageRule | None = None
    zero_after_s: float | None = None
    """Without a request for so long, the pool goes to zero; None: never for want of requests."""
    outside_change: OutsideChange = OutsideChange.ADOPT


@dataclass(frozen=True, slots=True)
class SignalRule:
    """`across` and `stat` are spelled as in rule files: sum, avg, max, p50…p99, last, rate …"""

    name: str
    metric: str
    stat: str
    window_s: float
    across: str | None = None
    request_class: str | None = None
    max_age_s: float = 30.0
    quorum: float = 0.6
    builtin: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. `evaluate` gets the usable signals by name.

    It returns None when it cannot be decided for lack of a signal (`a || b` with a true is true
    although b is missing). Two conditions are equal when their source is.
    """

    source: str
    names: frozenset[str]
    evaluate: Callable[[Mapping[str, float]], bool | None] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Amount:
    """Number of replicas, a share of them, or the larger of both (`max(4, 100%)`)."""

    replicas: int = 0
    fraction: float = 0.0

    def of(self, count: int) -> int:
        """At least one replica, rounded up, where any is asked for."""
        share = -int(-(self.fraction * count) // 1) if self.fraction else 0
        return max(self.replicas, share, 1)


class Change(StrEnum):
    ADD = "add"
    REMOVE = "remove"
    SET = "set"


@dataclass(frozen=True, slots=True)
class ThresholdTrigger:
    """While `when` has held for `for_s`: add, remove or set; kept for `keep_s` after it ceased."""

    name: str
    when: Condition
    change: Change
    amount: Amount
    for_s: float = 0.0
    keep_s: float = 0.0
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class TargetTrigger:
    """So many replicas that each carries `per_replica` of the signal, within `tolerance`."""

    name: str
    signal: str
    per_replica: float
    tolerance: float = 0.1
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A recurring span of time. `active` gets epoch seconds; made from cron with a time zone."""

    cron: str
    tz: str
    lasts_s: float
    active: Callable[[float], bool] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ScheduleTrigger:
    name: str
    schedule: Schedule
    min_replicas: int
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class SloTrigger:
    """So many replicas that the SLO of a request class is met, by what was learned."""

    name: str
    request_class: str
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class ForecastTrigger:
    """A floor: what a quantile of the demand `horizon_s` ahead needs (None: a start-up time)."""

    name: str
    horizon_s: float | None
    quantile: float
    pool: str | None = None


Trigger = ThresholdTrigger | TargetTrigger | ScheduleTrigger | SloTrigger | ForecastTrigger


@dataclass(frozen=True, slots=True)
class DirectionLimit:
    """`step` per any `per_s`; `cooldown_s` after any change; `stabilise_s` of agreement."""

    step: Amount
    per_s: float
    stabilise_s: float = 0.0
    cooldown_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Freeze:
    """No change in the direction while the schedule is active: `up`, `down` or `both`."""

    name: str
    schedule: Schedule
    direction: str


@dataclass(frozen=True, slots=True)
class Limits:
    up: DirectionLimit = DirectionLimit(Amount(4, 1.0), 15.0)
    down: DirectionLimit = DirectionLimit(Amount(1), 60.0, stabilise_s=300.0)
    budget_usd_per_hour: float | None = None
    freezes: tuple[Freeze, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceRule:
    service: str
    mode: Mode
    classes: tuple[ClassRule, ...]
    pools: tuple[PoolRule, ...]
    signals: tuple[SignalRule, ...]
    """Those that the file names and the built-in ones that its triggers use."""
    triggers: tuple[Trigger, ...]
    limits: Limits = Limits()
    heartbeat_s: float = 30.0
    file: str = ""

    def triggers_of(self, pool: PoolRule) -> tuple[Trigger, ...]:
        """Triggers without a pool belong to the service's default pools.

        An `slo` belongs to all pools that serve its class: which of them grows is a matter of cost.
        """
        return tuple(trigger for trigger in self.triggers if _belongs(trigger, pool))


def _belongs(trigger: Trigger, pool: PoolRule) -> bool:
    if trigger.pool is not None:
        return trigger.pool == pool.name
    if isinstance(trigger, SloTrigger) and pool.advantage is not None:
        return not pool.serves or trigger.request_class in pool.serves
    return pool.role is PoolRole.DEFAULT


@dataclass(frozen=True, slots=True)
class FleetStock:
    """So many replicas of one kind are to be had by these pools together."""

    kind: str
    replicas: int
    pools: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """A service's place in the fleet: the higher priority comes first, equal ones by weight."""

    priority: int = 0
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class FleetRule:
    """What all services share. `services` holds those that the file names."""

    budget_usd_per_hour: float | None
    stock: tuple[FleetStock, ...]
    services: Mapping[str, Standing]

    def standing_of(self, service: str) -> Standing:
        return self.services.get(service, Standing())


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rule files of one load. `revision` is a hash of their contents."""

    revision: str
    services: tuple[ServiceRule, ...]
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """File name → text, so that the journal can re-decide with the very rules of the time."""
    fleet: FleetRule | None = None
    warnings: tuple[Problem, ...] = field(default=(), compare=False)
    """What loads and is probably not meant."""

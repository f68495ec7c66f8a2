"""The shape of a rule file as pydantic models: one source for the check and the JSON Schema.

A field's docstring is what an editor shows. A shape says nothing about names that must exist
elsewhere, see `checks`. `stand_ins` are what takes the place of a required key that is missing
or wrong, so that all the rest of the file is checked in the same pass; no check complains of them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from poolwright.model.rule import Amount, Mode, OutsideChange, PoolRole
from poolwright.model.sample import ARRIVAL_METRICS, REPLICA_METRICS, REQUEST_METRICS
from poolwright.rulefiles import quantities

STATS: Final = ("rate", "sum", "count", "avg", "min", "max", "last", "slope")
ACROSS: Final = ("sum", "avg", "min", "max")
METRICS: Final = (*REPLICA_METRICS, *REQUEST_METRICS, *ARRIVAL_METRICS)
QUANTILE: Final = r"^p[0-9]{1,2}(\.[0-9]+)?$"
KINDS: Final = ("when", "target", "slo", "forecast", "schedule")
"""The keys of which a trigger has exactly one."""
CHANGES: Final = ("add", "remove", "set")
"""The keys of which a trigger with `when` has exactly one."""


def _text(title: str, pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "title": title, "pattern": pattern, "examples": list(examples)}
    )


def _choice(title: str, names: tuple[str, ...], quantile: str = "") -> WithJsonSchema:
    named: dict[str, Any] = {"enum": list(names)}
    if not quantile:
        return WithJsonSchema({"type": "string", "title": title, **named})
    quantiles = {"type": "string", "pattern": QUANTILE, "examples": [quantile]}
    return WithJsonSchema({"title": title, "anyOf": [named, quantiles]})


Seconds = Annotated[
    float,
    BeforeValidator(quantities.duration_s),
    _text("Duration", quantities.DURATION, "30s", "5ms", "10m", "1h30m"),
]
Horizon = Annotated[
    float,
    BeforeValidator(quantities.horizon_s),
    _text("Horizon", quantities.HORIZON, "startup", "5m"),
]
Price = Annotated[
    float,
    BeforeValidator(quantities.usd_per_hour),
    _text("Price", quantities.PRICE, "27.52 USD/h"),
]
Share = Annotated[
    float, BeforeValidator(quantities.fraction), _text("Percentage", quantities.SHARE, "15%")
]
Replicas = Annotated[
    Amount,
    BeforeValidator(quantities.amount),
    WithJsonSchema(
        {
            "title": "Amount of replicas",
            "type": ["string", "integer"],
            "minimum": 0,
            "maximum": 999_999_999,
            "pattern": quantities.AMOUNT,
            "examples": [4, "50%", "max(4, 100%)"],
        }
    ),
]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=120)]
Count = Annotated[int, Field(ge=0, strict=True)]
Metric = Annotated[str, _choice("Metric", METRICS)]
Stat = Annotated[str, _choice("Statistic", STATS, "p95")]
Across = Annotated[str, _choice("Across replicas", ACROSS, "p90")]
Cron = Annotated[str, _text("Cron", r"^\s*(\S+\s+){4}\S+\s*$", "30 7 * * MON-FRI", "0 22 * * *")]


def _written(default: float, text: str, **rules: Any) -> Any:
    """A default that an editor shows as it would be written."""
    return Field(default=default, json_schema_extra={"default": text}, **rules)


class Empty:
    """Stands for a key without a value: it is a mistake and not a wish for the default."""


class Shape(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )
    stand_ins: ClassVar[Mapping[str, Any]] = {}

    @model_validator(mode="before")
    @classmethod
    def _empty_is_no_default(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: Empty() if part is None else part for key, part in value.items()}


class ClassShape(Shape, title="Request class"):
    """The objective of a kind of requests."""

    ttft: Seconds | None = None
    """Time to first token."""
    itl: Seconds | None = None
    """Time between tokens."""
    e2e: Seconds | None = None
    """Time to the end of the request."""
    attainment: Share = _written(0.99, "99%", le=1)
    """Share of the requests that must meet these."""


class Bounds(Shape, title="Bounds"):
    """The pool never goes outside these."""

    stand_ins = {"min": 0, "max": 999_999_999}

    min: Count
    """Fewest replicas."""
    max: Count
    """Most replicas."""
    zero_after: Seconds | None = None
    """Without a request for so long it goes to zero; the next one wakes it. Needs `min: 0`."""


class ProfileShape(Shape, title="Profile"):
    """Declared speed of a replica; believed until measured."""

    stand_ins = {
        "itl_base": "1s",
        "itl_per_request": "1s",
        "prefill_base": "1s",
        "prefill_per_token": "1s",
        "max_batch": 1,
    }

    itl_base: Seconds
    """Time between tokens of a single request."""
    itl_per_request: Seconds
    """What every further request of the batch adds to it."""
    prefill_base: Seconds
    """Time to first token of an empty prompt."""
    prefill_per_token: Seconds
    """What every token of the prompt adds to it."""
    max_batch: int = Field(ge=1, strict=True)
    """Most requests at once."""


class AdvantageShape(Shape, title="Advantage"):
    """An accelerator pool grows only while one of these margins holds."""

    economic: Share | None = None
    """Saving, as a share of the cost of the default replicas, from which it may grow."""
    performance: Share | None = None
    """It may grow where no default pool meets an SLO, and at no saving if its p95 is less by it."""
    held_for: Seconds = _written(600.0, "10m")
    """How long one of them must hold."""
    min_utilisation: Share = _written(0.6, "60%", le=1)
    """Expected utilisation below which it does not grow."""


class PoolShape(Shape, title="Pool"):
    """Replicas of one kind on one provider target."""

    stand_ins = {"name": "unnamed", "provider": {"unknown": {}}, "replicas": Bounds.stand_ins}

    name: Name
    """Unique among the pools of all services."""
    role: PoolRole = PoolRole.DEFAULT
    """`accelerator`: grows only while it has an advantage."""
    provider: dict[str, dict[str, Any]] = Field(
        min_length=1,
        max_length=1,
        examples=[{"kubernetes": {"kind": "Deployment", "namespace": "inference", "name": "chat"}}],
    )
    """Exactly one provider's name with that provider's own keys."""
    replicas: Bounds
    price: Price | None = None
    """Of one replica."""
    startup: Seconds = _written(180.0, "180s")
    """From order to ready: a first guess."""
    lease: Seconds = _written(0.0, "0s")
    """The shortest time that a replica is paid for."""
    serves: list[str] = []
    """Names of `classes`; none: all of them."""
    profile: ProfileShape | None = None
    advantage: AdvantageShape | None = None
    outside_change: OutsideChange = OutsideChange.ADOPT
    """When somebody else sets the count: `adopt` it, `restore` ours, or `alarm` and hands off."""


class SignalShape(Shape, title="Signal"):
    """One number from the telemetry of a window."""

    stand_ins = {"metric": "rate", "stat": "last", "window": "1s"}

    metric: Metric
    stat: Stat
    """Over the samples of the window."""
    window: Seconds = Field(gt=0)
    across: Across | None = None
    """Over the replicas; metrics of replicas need it."""
    request_class: str | None = Field(default=None, alias="class")
    """Only requests of this one of `classes`."""
    max_age: Seconds = _written(30.0, "30s")
    """Older telemetry does not count: the signal is missing."""
    quorum: Share = _written(0.6, "60%", le=1)
    """Share of the replicas that must have reported."""


class TargetShape(Shape, title="Target"):
    """So many replicas that each carries `per_replica` of the signal."""

    stand_ins = {"signal": "ready", "per_replica": 1}

    signal: str
    """One of `signals`, or a built-in one."""
    per_replica: float = Field(gt=0, strict=True)
    """How much of the signal one replica carries."""
    tolerance: Share = _written(0.1, "10%", lt=1)
    """No change within it."""


class ForecastShape(Shape, title="Forecast"):
    """A floor by a quantile of the demand to come; advice until it beats the naive forecast."""

    stand_ins = {}

    signal: Literal["demand"] = "demand"
    horizon: Horizon = _written(0.0, "startup")
    """How far ahead: a start-up time as measured, or a duration."""
    quantile: float = Field(default=0.95, gt=0.5, lt=1, strict=True)
    """The share of the time that the demand stays below it."""


class SpanShape(Shape, title="Span"):
    """A recurring span of time."""

    stand_ins = {"start": "0 0 * * *", "lasts": "1s"}

    start: Cron
    """Cron: minute hour day month weekday."""
    tz: str = Field(default="UTC", examples=["Europe/Paris", "America/New_York", "UTC"])
    """Time zone."""
    lasts: Seconds = Field(gt=0)


class ScheduleShape(SpanShape, title="Schedule"):
    """At least `min` replicas for a time."""

    stand_ins = {**SpanShape.stand_ins, "min": 0}

    min: Count
    """Fewest replicas while it is active."""


class FreezeShape(SpanShape, title="Freeze"):
    """A time without changes."""

    stand_ins = {**SpanShape.stand_ins, "name": "unnamed"}

    name: Name
    direction: Literal["up", "down", "both"] = "both"


def _kinds_of_trigger(schema: dict[str, Any]) -> None:
    changes = [{"required": [change]} for change in CHANGES]
    kinds = {kind: {"required": [kind]} for kind in KINDS}
    schema["oneOf"] = list(kinds.values())
    schema["if"] = kinds["when"]
    schema["then"] = {"oneOf": changes}
    schema["else"] = {"not": {"anyOf": changes}}


class TriggerShape(Shape, title="Trigger", json_schema_extra=_kinds_of_trigger):
    """When to scale: exactly one of `when`, `target`, `slo`, `forecast` and `schedule`."""

    stand_ins = {"name": "unnamed"}

    name: Name
    """Unique in the file."""
    pool: str | None = None
    """The pool that it moves; without it, the default pools."""
    when: str | None = Field(default=None, examples=["waiting / ready > 8 || kv > 0.85"])
    """Condition in CEL, over signals; with exactly one of `add`, `remove` and `set`."""
    for_: Seconds = Field(default=0.0, alias="for", json_schema_extra={"default": "0s"})
    """How long the condition must have held."""
    keep: Seconds = _written(0.0, "0s")
    """How long the condition still counts after it ceased."""
    add: Replicas | None = None
    """Replicas more, while the condition holds."""
    remove: Replicas | None = None
    """Replicas fewer, while the condition holds."""
    set: Replicas | None = None
    """Replicas in all, while the condition holds."""
    target: TargetShape | None = None
    slo: str | None = Field(default=None, examples=["interactive"])
    """Name of one of `classes`: as many replicas as its SLO needs, by what is learned."""
    forecast: ForecastShape | None = None
    schedule: ScheduleShape | None = None


class DirectionShape(Shape, title="Limits of a direction"):
    """How fast it may go."""

    stand_ins = {"step": 1, "per": "1s"}

    step: Replicas
    """The most in any window of `per`."""
    per: Seconds = Field(gt=0)
    stabilise: Seconds = _written(0.0, "0s")
    """How long the proposals must have agreed."""
    cooldown: Seconds = _written(0.0, "0s")
    """After any change."""


class LimitsShape(Shape, title="Limits"):
    """How fast, how dear, and when not."""

    up: DirectionShape | None = None
    down: DirectionShape | None = None
    budget: Price | None = None
    """Of all pools together."""
    freeze: list[FreezeShape] = []


class RuleFile(Shape, title="Poolwright rule file"):
    """What Poolwright does for one service."""

    stand_ins = {"apiVersion": "poolwright/v1", "service": "unnamed", "pools": []}

    api_version: Literal["poolwright/v1"] = Field(alias="apiVersion")
    service: Name
    """Only one file may have it."""
    mode: Mode = Mode.ACT
    """`advise`: decide, never act; `paused`: keep the counts."""
    heartbeat: Seconds = _written(30.0, "30s", gt=0)
    """The longest time without a recorded decision."""
    classes: dict[str, ClassShape] = {}
    """Request classes by name."""
    pools: list[PoolShape] = Field(json_schema_extra={"minItems": 1})
    """At least one of them has the role `default`."""
    signals: dict[str, SignalShape] = {}
    """What is measured, by the name that it has in conditions."""
    triggers: list[TriggerShape] = []
    """When to scale."""
    limits: LimitsShape = Field(default_factory=LimitsShape)


class StockShape(Shape, title="Stock"):
    """Replicas of one kind that several pools share."""

    stand_ins = {"replicas": 999_999_999, "pools": []}

    replicas: Count
    """How many are to be had in all."""
    pools: list[str] = Field(json_schema_extra={"minItems": 1})
    """Names of pools, of any service; a pool is of one kind."""


class StandingShape(Shape, title="Standing"):
    """A service's place among the others."""

    stand_ins = {}

    priority: int = Field(default=0, strict=True)
    """The higher comes first; others give back down to their minimums for it."""
    weight: float = Field(default=1.0, gt=0, strict=True)
    """Its share among services of the same priority."""


class FleetFile(Shape, title="Poolwright fleet file"):
    """What all services of the folder share."""

    stand_ins = {"apiVersion": "poolwright/v1", "kind": "Fleet"}

    api_version: Literal["poolwright/v1"] = Field(alias="apiVersion")
    kind: Literal["Fleet"]
    budget: Price | None = None
    """Of all pools of all services together."""
    stock: dict[str, StockShape] = {}
    """What is to be had, by kind."""
    services: dict[str, StandingShape] = {}
    """By name; those that are not named have priority 0 and weight 1."""

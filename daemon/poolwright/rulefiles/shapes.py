"""The shape of a rule file as pydantic models: one source for the check and the JSON Schema."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from poolwright.model.rule import Amount, Mode, PoolRole
from poolwright.rulefiles import quantities

_TEXT = WithJsonSchema({"type": "string"})
Seconds = Annotated[float, BeforeValidator(quantities.duration_s), _TEXT]
Price = Annotated[float, BeforeValidator(quantities.usd_per_hour), _TEXT]
Share = Annotated[float, BeforeValidator(quantities.fraction), _TEXT]
Replicas = Annotated[
    Amount, BeforeValidator(quantities.amount), WithJsonSchema({"type": ["string", "integer"]})
]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=120)]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)


class ClassShape(Shape):
    ttft: Seconds | None = None
    itl: Seconds | None = None
    e2e: Seconds | None = None
    attainment: Share = 0.99


class Bounds(Shape):
    min: int = Field(ge=0)
    max: int = Field(ge=0)


class ProfileShape(Shape):
    itl_base: Seconds
    itl_per_request: Seconds
    prefill_base: Seconds
    prefill_per_token: Seconds
    max_batch: int = Field(ge=1)


class AdvantageShape(Shape):
    economic: Share | None = None
    performance: Share | None = None
    held_for: Seconds = 600.0
    min_utilisation: Share = 0.6


class PoolShape(Shape):
    name: Name
    role: PoolRole = PoolRole.DEFAULT
    provider: dict[str, dict[str, Any]] = Field(min_length=1, max_length=1)
    replicas: Bounds
    price: Price | None = None
    startup: Seconds = 180.0
    lease: Seconds = 0.0
    serves: list[str] = []
    profile: ProfileShape | None = None
    advantage: AdvantageShape | None = None


class SignalShape(Shape):
    metric: str
    stat: str
    window: Seconds = Field(gt=0)
    across: str | None = None
    request_class: str | None = Field(default=None, alias="class")
    max_age: Seconds = 30.0
    quorum: Share = 0.6


class TargetShape(Shape):
    signal: str
    per_replica: float = Field(gt=0)
    tolerance: Share = 0.1


class SpanShape(Shape):
    start: str
    tz: str = "UTC"
    lasts: Seconds = Field(gt=0)


class ScheduleShape(SpanShape):
    min: int = Field(ge=0)


class FreezeShape(SpanShape):
    name: Name
    direction: Literal["up", "down", "both"] = "both"


class TriggerShape(Shape):
    name: Name
    pool: str | None = None
    when: str | None = None
    for_: Seconds = Field(default=0.0, alias="for")
    keep: Seconds = 0.0
    add: Replicas | None = None
    remove: Replicas | None = None
    set: Replicas | None = None
    target: TargetShape | None = None
    schedule: ScheduleShape | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(kind is not None for kind in (self.when, self.target, self.schedule)) != 1:
            raise ValueError("a trigger needs exactly one of when, target, schedule")
        changes = sum(change is not None for change in (self.add, self.remove, self.set))
        if changes != (self.when is not None):
            raise ValueError("exactly one of add, remove, set belongs to `when`, and only to it")
        return self


class DirectionShape(Shape):
    step: Replicas
    per: Seconds = Field(gt=0)
    stabilise: Seconds = 0.0
    cooldown: Seconds = 0.0


class LimitsShape(Shape):
    up: DirectionShape | None = None
    down: DirectionShape | None = None
    budget: Price | None = None
    freeze: list[FreezeShape] = []


class RuleFile(Shape):
    api_version: Literal["poolwright/v1"] = Field(alias="apiVersion")
    service: Name
    mode: Mode = Mode.ACT
    heartbeat: Seconds = Field(default=30.0, gt=0)
    classes: dict[str, ClassShape] = {}
    pools: list[PoolShape] = Field(min_length=1)
    signals: dict[str, SignalShape] = {}
    triggers: list[TriggerShape] = []
    limits: LimitsShape = LimitsShape()

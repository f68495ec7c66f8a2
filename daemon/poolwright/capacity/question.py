"""What a trigger wants to know of a pool."""

import math
from dataclasses import dataclass

from poolwright.capacity.carrying import Objective
from poolwright.model.rule import ClassRule, ForecastTrigger, ServiceRule, SloTrigger

Asking = SloTrigger | ForecastTrigger


@dataclass(frozen=True, slots=True)
class Question:
    """What a trigger wants to know of a pool. `horizon_s` is None for a start-up time."""

    trigger: str
    request_class: str
    objective: Objective
    horizon_s: float | None
    quantile: float | None
    """None: as the attainment asks for."""


def question_of(service: ServiceRule, trigger: Asking) -> Question:
    """What the trigger wants to know. A forecast is made for the service's strictest class."""
    classes = {rule.name: rule for rule in service.classes}
    if isinstance(trigger, SloTrigger):
        rule = classes[trigger.request_class]
        horizon_s, quantile = None, None
    else:
        rule = min(service.classes, key=_strictness, default=ClassRule("default", e2e_s=60.0))
        horizon_s, quantile = trigger.horizon_s, trigger.quantile
    objective = Objective(rule.ttft_s, rule.itl_s, rule.e2e_s, rule.attainment)
    return Question(trigger.name, rule.name, objective, horizon_s, quantile)


def _strictness(rule: ClassRule) -> tuple[float, float, float]:
    return tuple(
        math.inf if limit is None else limit for limit in (rule.itl_s, rule.ttft_s, rule.e2e_s)
    )  # type: ignore[return-value]  # three limits

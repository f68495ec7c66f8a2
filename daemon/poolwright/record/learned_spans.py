"""The spans of forecasts and of the allocation; docs/traces.md has the closed catalogue."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from poolwright.model.assessment import (
    Advantage,
    Alternative,
    Assessment,
    Comparison,
    ModelForecast,
    Share,
)
from poolwright.model.decision import PoolInputs

Attribute = str | float | int | bool | Sequence[str] | Sequence[float]
Attributes = Mapping[str, Attribute]
FORECAST, CAPACITY = "poolwright.forecast", "poolwright.capacity"
ALLOCATION, ADVANTAGE = "poolwright.allocation", "poolwright.advantage"
ALTERNATIVE, MODEL = "poolwright.alternative", "poolwright.model"
COMPARISON = "poolwright.comparison"


@dataclass(frozen=True, slots=True)
class Child:
    """A span below the decision's: as long as it. `what` tells it from its siblings."""

    what: str
    name: str
    attributes: Attributes
    events: tuple[tuple[str, Attributes], ...] = ()


def learned_children(inputs: PoolInputs) -> Iterator[Child]:
    """A span for each assessment, and one for the plan where there is one."""
    for number, found in enumerate(inputs.assessments):
        models = tuple((MODEL, _model(name, model)) for name, model in found.models.items())
        yield Child(f"forecast {number}", FORECAST, _forecast(found), models)
    if inputs.share is not None or inputs.advantage is not None:
        attributes = _allocation(inputs.share) | _advantage(inputs.advantage)
        yield Child("allocation", ALLOCATION, attributes, tuple(_events(inputs.advantage)))


def _forecast(found: Assessment) -> Attributes:
    capacity = found.capacity
    return _known(
        {
            "poolwright.trigger.name": found.trigger,
            f"{FORECAST}.class": found.request_class,
            f"{FORECAST}.horizon_s": found.horizon_s,
            f"{FORECAST}.quantile": found.quantile,
            f"{FORECAST}.expected_replicas": found.expected,
            f"{FORECAST}.upper_replicas": found.upper,
            f"{FORECAST}.lowered_replicas": found.lowered_by,
            f"{FORECAST}.history_s": found.history_s,
            f"{FORECAST}.skill": found.skill,
            f"{FORECAST}.need_replicas": found.need,
            f"{FORECAST}.level_replicas": found.level,
            f"{FORECAST}.sustained_replicas": found.sustained,
            f"{FORECAST}.demand_requests_per_s": found.demand_per_s,
            f"{FORECAST}.waiting_requests": found.waiting,
            f"{FORECAST}.startup_p95_s": found.startup_s,
            f"{FORECAST}.startups": found.startups,
            f"{CAPACITY}.basis": capacity.basis.value,
            f"{CAPACITY}.learned": found.learned,
            f"{CAPACITY}.meets": capacity.meets,
            f"{CAPACITY}.requests_per_s": capacity.requests_per_s,
            f"{CAPACITY}.tokens_per_s": capacity.tokens_per_s,
            f"{CAPACITY}.itl_base_s": capacity.itl_base_s,
            f"{CAPACITY}.itl_per_request_s": capacity.itl_per_request_s,
            f"{CAPACITY}.prefill_base_s": capacity.prefill_base_s,
            f"{CAPACITY}.prefill_per_token_s": capacity.prefill_per_token_s,
            f"{CAPACITY}.decode_s": capacity.decode_s,
            f"{CAPACITY}.batch_requests": capacity.batch,
            f"{CAPACITY}.utilisation": capacity.utilisation,
            f"{CAPACITY}.error": capacity.error,
            f"{CAPACITY}.measured_requests": capacity.requests,
            f"{CAPACITY}.correction": capacity.correction,
            f"{CAPACITY}.tested_load": capacity.tested,
            f"{CAPACITY}.drift": capacity.drift or None,
        }
    )


def _model(name: str, model: ModelForecast) -> Attributes:
    return {
        f"{MODEL}.name": name,
        f"{MODEL}.upper_replicas": model.value,
        f"{MODEL}.loss": model.loss,
        f"{MODEL}.weight": model.weight,
    }


def _allocation(share: Share | None) -> dict[str, Attribute]:
    if share is None:
        return {}
    return _known(
        {
            f"{ALLOCATION}.classes": list(share.classes),
            f"{ALLOCATION}.shares": list(share.classes.values()),
            f"{ALLOCATION}.count": share.count,
            f"{ALLOCATION}.detail": share.detail or None,
        }
    )


def _advantage(found: Advantage | None) -> dict[str, Attribute]:
    if found is None:
        return {}
    return _known(
        {
            f"{ADVANTAGE}.granted": found.granted,
            f"{ADVANTAGE}.kind": found.kind or None,
            f"{ADVANTAGE}.why": found.why,
            f"{ADVANTAGE}.margin": found.margin,
            f"{ADVANTAGE}.required_margin": found.required,
            f"{ADVANTAGE}.required_p95_margin": found.required_p95_margin,
            f"{ADVANTAGE}.utilisation": found.utilisation,
            f"{ADVANTAGE}.required_utilisation": found.required_utilisation,
            f"{ADVANTAGE}.held_s": found.held_s,
            f"{ADVANTAGE}.required_s": found.required_s,
            f"{ADVANTAGE}.basis": found.basis.value,
            f"{ADVANTAGE}.default_basis": found.default_basis.value,
        }
    )


def _events(found: Advantage | None) -> Iterator[tuple[str, Attributes]]:
    if found is not None:
        yield from ((ALTERNATIVE, _alternative(way)) for way in found.alternatives)
        yield from ((COMPARISON, _comparison(one)) for one in found.comparisons)


def _comparison(found: Comparison) -> Attributes:
    return _known(
        {
            f"{COMPARISON}.class": found.request_class,
            f"{COMPARISON}.time": found.time,
            f"{COMPARISON}.requests": found.requests,
            f"{COMPARISON}.p95_s": found.p95_s,
            f"{COMPARISON}.default_pool": found.default_pool,
            f"{COMPARISON}.default_requests": found.default_requests,
            f"{COMPARISON}.default_p95_s": found.default_p95_s,
            f"{COMPARISON}.margin": found.margin,
        }
    )


def _alternative(way: Alternative) -> Attributes:
    return _known(
        {
            f"{ALTERNATIVE}.name": way.name,
            f"{ALTERNATIVE}.pools": list(way.replicas),
            f"{ALTERNATIVE}.replicas": list(way.replicas.values()),
            f"{ALTERNATIVE}.usd_per_hour": way.usd_per_hour,
            f"{ALTERNATIVE}.usd_per_million_tokens": way.usd_per_million_tokens,
            f"{ALTERNATIVE}.unserved": way.unserved,
        }
    )


def _known(figures: Mapping[str, Attribute | None]) -> dict[str, Attribute]:
    """What is unknown is left out; it is never zero."""
    return {name: figure for name, figure in figures.items() if figure is not None}

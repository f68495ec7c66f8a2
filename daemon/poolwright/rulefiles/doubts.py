"""What of a service loads and is probably not meant: told as warnings, each at its place."""

from collections.abc import Iterator

from poolwright.errors import Problem
from poolwright.model.rule import ForecastTrigger, PoolRole, PoolRule, ServiceRule, SloTrigger
from poolwright.rulefiles.document import Document, Path


def doubts(document: Document, service: ServiceRule) -> Iterator[Problem]:
    """Of a service without mistakes."""
    for path, message, hint in _doubts(document, service):
        yield Problem(document.file, *document.place(path), message, hint)


Doubt = tuple[Path, str, str]
"""Place, message and hint."""


def _doubts(document: Document, service: ServiceRule) -> Iterator[Doubt]:
    yield from _objectives(document, service)
    yield from _unsure_classes(service)
    yield from _prices(service)
    for i, pool in enumerate(service.pools):
        if pool.advantage is not None:
            yield from _accelerator(("pools", i), pool, service)
    yield from _horizons(document, service)
    yield from _budget(service)


def _objectives(document: Document, service: ServiceRule) -> Iterator[Doubt]:
    """Times that contradict one another: as a rule a unit is wrong."""
    for rule in service.classes:
        path: Path = ("classes", rule.name)
        times = {"ttft": rule.ttft_s, "itl": rule.itl_s, "e2e": rule.e2e_s}
        for short, long in (("itl", "ttft"), ("itl", "e2e"), ("ttft", "e2e")):
            less, more = times[short], times[long]
            if less is not None and more is not None and less > more:
                written = [f"`{name}: {document.at((*path, name))}`" for name in (short, long)]
                message = f"{written[0]} of class `{rule.name}` is more than its {written[1]}"
                hint = "is the unit right? itl is often some ms, ttft some s, e2e some s or m"
                yield (*path, short), message, hint
                break


def _unsure_classes(service: ServiceRule) -> Iterator[Doubt]:
    for rule in service.classes:
        serving = [p for p in service.pools if not p.serves or rule.name in p.serves]
        if all(p.role is PoolRole.ACCELERATOR and p.min_replicas == 0 for p in serving):
            names = " and ".join(f"`{pool.name}`" for pool in serving)
            message = f"class `{rule.name}` is served by {names} alone, which may have no replica"
            hint = "let a default pool serve it, too, or set min: 1"
            yield ("classes", rule.name), message, hint


def _prices(service: ServiceRule) -> Iterator[Doubt]:
    judged = [pool.name for pool in service.pools if pool.advantage is not None]
    budget = service.limits.budget_usd_per_hour
    for i, pool in enumerate(service.pools):
        if pool.price_usd_per_hour is not None:
            continue
        if judged:
            message = (
                f"pool `{pool.name}` has no price: it counts as 1 USD/h where the cost with and"
                f" without accelerator `{judged[0]}` is compared"
            )
            yield ("pools", i), message, "add price: … USD/h"
        elif budget is not None:
            message = f"pool `{pool.name}` has no price and costs the budget nothing"
            yield ("pools", i), message, "add price: … USD/h"


def _accelerator(path: Path, pool: PoolRule, service: ServiceRule) -> Iterator[Doubt]:
    triggers = service.triggers_of(pool)
    if not triggers or not any(isinstance(trigger, SloTrigger) for trigger in service.triggers):
        served = pool.serves or tuple(rule.name for rule in service.classes)
        hint = f"add one, such as - {{name: meet-slo, slo: {served[0] if served else '…'}}}"
        message = f"accelerator pool `{pool.name}` never grows: no `slo` trigger judges it"
        yield path, message, hint
    elif pool.profile is None and pool.min_replicas == 0:
        message = (
            f"accelerator pool `{pool.name}` has no profile: until requests have ended in it, it"
            " is taken for a GPU, so it hardly grows from no replica"
        )
        yield path, message, "declare its speed: profile: {itl_base: …, …}; or set min: 1"


def _horizons(document: Document, service: ServiceRule) -> Iterator[Doubt]:
    for i, trigger in enumerate(service.triggers):
        if not isinstance(trigger, ForecastTrigger) or trigger.horizon_s is None:
            continue
        slower = [
            pool
            for pool in service.pools
            if trigger in service.triggers_of(pool) and pool.startup_s > trigger.horizon_s
        ]
        if slower:
            path: Path = ("triggers", i, "forecast", "horizon")
            message = (
                f"`{document.at(path)}` is shorter than a start of pool `{slower[0].name}`"
                f" ({slower[0].startup_s:g} s): what is ordered then comes too late"
            )
            yield path, message, "write horizon: startup, or a longer time"


def _budget(service: ServiceRule) -> Iterator[Doubt]:
    budget = service.limits.budget_usd_per_hour
    least = sum(pool.min_replicas * (pool.price_usd_per_hour or 0.0) for pool in service.pools)
    if budget is not None and least > budget:
        message = f"the minimums of the pools cost {least:g} USD/h, more than the budget"
        yield ("limits", "budget"), message, "minimums come first: lower them, or raise it"

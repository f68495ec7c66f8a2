"""What a shape cannot say: names that must exist, what must be unique, bounds that contradict."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel

from poolwright.model.rule import PoolRole, ServiceRule
from poolwright.model.sample import REPLICA_METRICS
from poolwright.rulefiles.conditions import is_usable_name
from poolwright.rulefiles.document import Document, Path
from poolwright.rulefiles.shapes import (
    ACROSS,
    CHANGES,
    KINDS,
    METRICS,
    QUANTILE,
    STATS,
    PoolShape,
    RuleFile,
    SignalShape,
    TriggerShape,
)
from poolwright.rulefiles.validating import validate_part
from poolwright.rulefiles.wording import did_you_mean

Providers = Mapping[str, type[BaseModel] | None]
"""The model of a provider's own part of a pool, by its name; None: it is not known."""
BUILTINS = ("ready", "starting", "desired", "demand", "cost", "hour", "weekday")


@dataclass(frozen=True, slots=True)
class Names:
    """What the file defines, whether rightly or wrongly. None: it cannot be known."""

    classes: frozenset[str] | None
    pools: frozenset[str] | None
    signals: frozenset[str] | None

    @classmethod
    def of(cls, document: Document) -> Self:
        entries = document.value.get("pools")
        named = [p.get("name") if isinstance(p, dict) else None for p in entries or ()]
        pools = None
        if not document.is_broken(("pools",)) and all(isinstance(name, str) for name in named):
            pools = frozenset(map(str, named))
        return cls(_keys(document, "classes"), pools, _keys(document, "signals"))


def _keys(document: Document, section: str) -> frozenset[str] | None:
    return None if document.is_broken((section,)) else frozenset(document.value.get(section) or ())


def check(document: Document, rules: RuleFile, names: Names, providers: Providers | None) -> None:
    """Add to the document's problems. `providers`: those that exist; None: any."""
    _check_unique(document, "pools", "pool", [pool.name for pool in rules.pools])
    _check_unique(document, "triggers", "trigger", [trigger.name for trigger in rules.triggers])
    for i, pool in enumerate(rules.pools):
        _check_pool(document, ("pools", i), pool, names, providers)
    if not rules.pools:
        document.add(("pools",), "no pool", "add one: - {name: …, provider: …, replicas: …}")
    elif not any(
        pool.role is PoolRole.DEFAULT or document.is_broken(("pools", i, "role"))
        for i, pool in enumerate(rules.pools)
    ):
        document.add(("pools",), "no default pool", "give one pool role: default", key=True)
    _check_classes(document, rules, names)
    for name, signal in rules.signals.items():
        _check_signal(document, ("signals", name), name, signal, names)
    for i, trigger in enumerate(rules.triggers):
        _check_trigger(document, ("triggers", i), trigger, names)
    for side, limit in (("up", rules.limits.up), ("down", rules.limits.down)):
        if limit and not limit.step.replicas and not limit.step.fraction:
            path: Path = ("limits", side, "step")
            document.add(path, "a step of zero never moves", "write 1 or more; or use mode: paused")


def check_pools_of_all(services: Iterable[tuple[Document, ServiceRule]]) -> None:
    """Reports, actions, memories and the journal know a pool by its name, of whatever service."""
    owners: dict[str, tuple[Document, Path]] = {}
    for document, service in services:
        for i, pool in enumerate(service.pools):
            path: Path = ("pools", i, "name")
            if document.is_broken(path):
                continue
            owner, place = owners.setdefault(pool.name, (document, path))
            # Two of one file have been told by its own check.
            if owner is not document:
                also = owner.where(place)
                hint = f"also at {also}; pools of all services are known by name: rename one"
                document.add(path, f"duplicate pool `{pool.name}`", hint)


def _check_unique(document: Document, section: str, what: str, names: Iterable[str]) -> None:
    seen: dict[str, Path] = {}
    for i, name in enumerate(names):
        path: Path = (section, i, "name")
        if document.is_broken(path):
            continue
        if other := seen.get(name):
            hint = f"also at {document.where(other)}; rename one"
            document.add(path, f"duplicate {what} `{name}`", hint)
        seen.setdefault(name, path)


def _check_name(
    document: Document, path: Path, what: str, name: str, known: Collection[str] | None
) -> None:
    if known is not None and name not in known:
        document.add(path, f"unknown {what} `{name}`", did_you_mean(name, known))


def _check_pool(
    document: Document,
    path: Path,
    pool: PoolShape,
    names: Names,
    providers: Providers | None,
) -> None:
    if providers is not None and not document.is_broken((*path, "provider")):
        _check_provider(document, (*path, "provider"), next(iter(pool.provider)), providers)
    if pool.replicas.min > pool.replicas.max:
        message = f"min {pool.replicas.min} is above max {pool.replicas.max}"
        document.add((*path, "replicas", "min"), message, "lower min or raise max")
    _check_zero_after(document, path, pool)
    if pool.role is PoolRole.ACCELERATOR and not document.has((*path, "advantage")):
        hint = "say when it may grow: advantage: {economic: 15%}"
        document.add(path, f"accelerator pool `{pool.name}` has no advantage", hint)
    for j, name in enumerate(pool.serves):
        _check_name(document, (*path, "serves", j), "class", name, names.classes)


def _check_zero_after(document: Document, path: Path, pool: PoolShape) -> None:
    if pool.replicas.zero_after is None or document.is_broken((*path, "replicas")):
        return
    key = (*path, "replicas", "zero_after")
    if pool.replicas.min > 0:
        message = f"the pool never goes to zero: its min is {pool.replicas.min}"
        document.add(key, message, "write min: 0, or leave zero_after out")
    if pool.role is PoolRole.ACCELERATOR:
        message = "an accelerator is released by the plan over all pools"
        document.add(key, message, "leave zero_after out; it goes when it has no advantage")


def _check_classes(document: Document, rules: RuleFile, names: Names) -> None:
    """What nobody serves, and what is to be met without a time that could be missed."""
    sure = rules.pools and not document.has_broken(("pools",))
    lists = [pool.serves for pool in rules.pools]
    known = names.classes is not None and all(c in names.classes for cs in lists for c in cs)
    if sure and known and all(lists):
        for name in rules.classes:
            if not any(name in served for served in lists):
                hint = "name it in the `serves` of a pool, or delete the class"
                document.add(("classes", name), f"no pool serves class `{name}`", hint, key=True)
    for i, trigger in enumerate(rules.triggers):
        shape = rules.classes.get(trigger.slo or "")
        if shape is None or document.has_broken(("classes", trigger.slo or "")):
            continue
        if shape.ttft is None and shape.itl is None and shape.e2e is None:
            message = f"class `{trigger.slo}` has no time that could be met"
            hint = f"give it one under classes: {trigger.slo}: {{ttft: 2s}}, or itl, or e2e"
            document.add(("triggers", i, "slo"), message, hint)


def _check_provider(document: Document, path: Path, name: str, providers: Providers) -> None:
    place: Path = (*path, name)
    if name not in providers:
        hint = did_you_mean(name, providers)
        document.add(place, f"unknown provider `{name}`", hint, key=True)
    elif (target := providers[name]) is not None:
        validate_part(document, place, target)


def _check_signal(
    document: Document, path: Path, name: str, signal: SignalShape, names: Names
) -> None:
    if name in BUILTINS:
        document.add(path, f"`{name}` is built in", "choose another name", key=True)
    elif not is_usable_name(name):
        hint = "use letters, digits and _, and no word of CEL such as in"
        document.add(path, f"`{name}` cannot stand in a condition", hint, key=True)
    _check_name(document, (*path, "metric"), "metric", signal.metric, METRICS)
    if not re.fullmatch(QUANTILE, signal.stat):
        _check_name(document, (*path, "stat"), "stat", signal.stat, (*STATS, "p95"))
    if signal.across is not None and not re.fullmatch(QUANTILE, signal.across):
        _check_name(document, (*path, "across"), "across", signal.across, (*ACROSS, "p90"))
    if signal.metric in REPLICA_METRICS and not document.has((*path, "across")):
        hint = "say how the replicas are combined: across: sum"
        document.add(path, f"`{signal.metric}` needs across", hint, key=True)
    if signal.request_class is not None:
        _check_name(document, (*path, "class"), "class", signal.request_class, names.classes)


def _check_trigger(document: Document, path: Path, trigger: TriggerShape, names: Names) -> None:
    unsure = path in document.misunderstood
    kinds = [kind for kind in KINDS if document.has((*path, kind))]
    changes = [change for change in CHANGES if document.has((*path, change))]
    if len(kinds) > 1:
        hint = "make a trigger of each"
        document.add(path, f"a trigger with both {' and '.join(kinds)}", hint)
    elif not kinds and not unsure:
        hint = f"write exactly one of {', '.join(KINDS)}"
        document.add(path, "a trigger that says nothing of when", hint)
    elif kinds == ["when"] and len(changes) > 1:
        document.add(path, f"a trigger with both {' and '.join(changes)}", "keep one of them")
    elif kinds == ["when"] and not changes and not unsure:
        hint = f"write one of {', '.join(CHANGES)}, such as add: 50%"
        document.add(path, "a trigger that changes nothing", hint)
    elif kinds != ["when"] and changes:
        hint = f"delete `{changes[0]}`: a {kinds[0]} says itself how many"
        document.add(path, f"`{changes[0]}` belongs to `when`, not to `{kinds[0]}`", hint)
    if trigger.pool is not None:
        _check_name(document, (*path, "pool"), "pool", trigger.pool, names.pools)
    if trigger.slo is not None:
        _check_name(document, (*path, "slo"), "class", trigger.slo, names.classes)
    if trigger.target and names.signals is not None:
        known = {*names.signals, *BUILTINS}
        place: Path = (*path, "target", "signal")
        _check_name(document, place, "signal", trigger.target.signal, known)

"""What a shape cannot say: names that must exist, bounds, thresholds that fight each other."""

import re
from difflib import get_close_matches

from poolwright.model.rule import PoolRole
from poolwright.model.sample import ARRIVAL_METRICS, REPLICA_METRICS, REQUEST_METRICS
from poolwright.rulefiles.document import Document, Path
from poolwright.rulefiles.shapes import RuleFile, SignalShape, TriggerShape

BUILTINS = ("ready", "starting", "desired", "demand", "cost", "hour", "weekday")
_STATS = ("rate", "sum", "count", "avg", "min", "max", "last", "slope")
_ACROSS = ("sum", "avg", "min", "max")
_QUANTILE = re.compile(r"p\d{1,2}(\.\d+)?")
_COMPARISON = re.compile(r"([^<>=!&|?]+?)\s*([<>])=?\s*(\d+(?:\.\d+)?)")
_PER_READY = re.compile(r".*/\s*ready")


def did_you_mean(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, 1)
    return f"did you mean `{close[0]}`?" if close else f"known: {', '.join(sorted(known))}"


def check(document: Document, rules: RuleFile) -> None:
    _check_pools(document, rules)
    for name, signal in rules.signals.items():
        _check_signal(document, rules, name, signal)
    pools = [pool.name for pool in rules.pools]
    seen: dict[str, int] = {}
    for i, trigger in enumerate(rules.triggers):
        path: Path = ("triggers", i)
        if trigger.name in seen:
            document.add((*path, "name"), f"duplicate trigger `{trigger.name}`", "rename one")
        seen[trigger.name] = i
        if trigger.pool is not None and trigger.pool not in pools:
            hint = did_you_mean(trigger.pool, pools)
            document.add((*path, "pool"), f"unknown pool `{trigger.pool}`", hint)
        if trigger.target:
            known = [*rules.signals, *BUILTINS]
            if trigger.target.signal not in known:
                message = f"unknown signal `{trigger.target.signal}`"
                hint = did_you_mean(trigger.target.signal, known)
                document.add((*path, "target", "signal"), message, hint)
    _check_oscillation(document, rules)
    for side in ("up", "down"):
        limit = getattr(rules.limits, side)
        if limit and not limit.step.replicas and not limit.step.fraction:
            document.add(("limits", side, "step"), "a step of zero never moves", "write 1 or more")


def _check_pools(document: Document, rules: RuleFile) -> None:
    seen: set[str] = set()
    for i, pool in enumerate(rules.pools):
        path: Path = ("pools", i)
        if pool.name in seen:
            document.add((*path, "name"), f"duplicate pool `{pool.name}`", "rename one")
        seen.add(pool.name)
        if pool.replicas.min > pool.replicas.max:
            message = f"min {pool.replicas.min} is above max {pool.replicas.max}"
            document.add((*path, "replicas", "min"), message, "lower min or raise max")
        if pool.role is PoolRole.ACCELERATOR and pool.advantage is None:
            hint = "say when it may grow: advantage: {economic: 15%}"
            document.add(path, f"accelerator pool `{pool.name}` has no advantage", hint)
        for j, name in enumerate(pool.serves):
            if name not in rules.classes:
                hint = did_you_mean(name, list(rules.classes))
                document.add((*path, "serves", j), f"unknown class `{name}`", hint)
    if not any(pool.role is PoolRole.DEFAULT for pool in rules.pools):
        document.add(("pools",), "no default pool", "give one pool role: default", key=True)


def _check_signal(document: Document, rules: RuleFile, name: str, signal: SignalShape) -> None:
    path: Path = ("signals", name)
    if name in BUILTINS:
        document.add(path, f"`{name}` is built in", "choose another name", key=True)
    elif not re.fullmatch(r"[A-Za-z_]\w*", name):
        document.add(path, f"`{name}` cannot stand in a condition", "use letters, _", key=True)
    metrics = [*REPLICA_METRICS, *REQUEST_METRICS, *ARRIVAL_METRICS]
    if signal.metric not in metrics:
        hint = did_you_mean(signal.metric, metrics)
        document.add((*path, "metric"), f"unknown metric `{signal.metric}`", hint)
    if signal.stat not in _STATS and not _QUANTILE.fullmatch(signal.stat):
        hint = did_you_mean(signal.stat, [*_STATS, "p95"])
        document.add((*path, "stat"), f"unknown stat `{signal.stat}`", hint)
    if signal.metric in REPLICA_METRICS and signal.across is None:
        document.add(path, f"`{signal.metric}` needs across", "add across: sum", key=True)
    if signal.across and signal.across not in _ACROSS and not _QUANTILE.fullmatch(signal.across):
        hint = did_you_mean(signal.across, [*_ACROSS, "p90"])
        document.add((*path, "across"), f"unknown across `{signal.across}`", hint)
    if signal.request_class is not None and signal.request_class not in rules.classes:
        hint = did_you_mean(signal.request_class, list(rules.classes))
        document.add((*path, "class"), f"unknown class `{signal.request_class}`", hint)


def _comparison(trigger: TriggerShape, sign: str) -> tuple[str, float] | None:
    found = _COMPARISON.fullmatch((trigger.when or "").strip())
    return (re.sub(r"\s", "", found[1]), float(found[3])) if found and found[2] == sign else None


def _check_oscillation(document: Document, rules: RuleFile) -> None:
    for i, down in enumerate(rules.triggers):
        below = _comparison(down, "<") if down.remove else None
        for up in rules.triggers if below else ():
            above = _comparison(up, ">") if up.add else None
            if above is None or below is None or above[0] != below[0]:
                continue
            for pool in rules.pools:
                own = {
                    t.pool or (pool.name if pool.role is PoolRole.DEFAULT else "")
                    for t in (up, down)
                }
                if own != {pool.name}:
                    continue
                message = _fight(above, below, max(pool.replicas.min, 2), pool.replicas.max)
                if message:
                    hint = f"`{up.name}` adds above {above[1]:g}: lower this threshold"
                    document.add(("triggers", i, "when"), message, hint)
                    break


def _fight(above: tuple[str, float], below: tuple[str, float], least: int, most: int) -> str:
    if below[1] >= above[1]:
        return f"removes below {below[1]:g} although {above[1]:g} already adds"
    # n/(n-1) falls with n, so that the smallest count is the one that trips first.
    if (
        _PER_READY.fullmatch(above[0])
        and least <= most
        and below[1] * least / (least - 1) > above[1]
    ):
        return f"would oscillate between {least} and {least - 1} replicas"
    return ""

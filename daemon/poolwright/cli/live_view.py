"""What `poolwright check --live` prints of its looks."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from poolwright.actuation.provider import Level
from poolwright.model.decision import Outcome
from poolwright.model.rule import RuleSet
from poolwright.record.sentences import REASONS
from poolwright.runtime.looking import Failure, Look, Verdict

STYLES: Final = {
    "ok": "green",
    "warning": "bold yellow",
    "problem": "bold red",
    "unanswered": "bold red",
}
STEPS: Final = {
    "make": "the provider cannot be made",
    "read": "its counts cannot be read",
    "inspect": "what is allowed cannot be found out",
}

Line = tuple[str, str, str]
"""Level, what is so, and what to do ('' where nothing is)."""


def live_view(looks: Sequence[Look]) -> Group:
    """The pools of each service, then how many of them are well."""
    parts: list[RenderableType] = []
    for service, found in groupby(looks, key=lambda look: look.service):
        parts += [Text(), Text(f"{service.service}, mode {service.mode.value}", style="bold")]
        for look in found:
            parts += [Text(), *_pool(look)]
    return Group(*parts, Text(), _summary(looks))


def live_body(rules: RuleSet, looks: Iterable[Look]) -> dict[str, Any]:
    """The same for machines; null where nothing is known, never zero."""
    return {
        "revision": rules.revision,
        "problems": [],
        "warnings": [asdict(warning) for warning in rules.warnings],
        "pools": [_body(look) for look in looks],
    }


def _body(look: Look) -> dict[str, Any]:
    made = look.decision
    return {
        "service": look.service.service,
        "mode": look.service.mode.value,
        "pool": look.pool.name,
        "provider": look.pool.provider,
        "target": dict(look.pool.target),
        "min": look.pool.min_replicas,
        "max": look.pool.max_replicas,
        "verdict": look.verdict.value,
        "counts": None if look.report is None else asdict(look.report),
        "findings": [asdict(finding) for finding in look.findings],
        "failures": [asdict(failure) for failure in look.failures],
        "at_once": None
        if made is None
        else {
            "outcome": made.outcome.value,
            "reason": made.reason.value,
            "current": made.current,
            "desired": made.desired,
        },
    }


def _pool(look: Look) -> Iterator[RenderableType]:
    verdict = look.verdict.value
    yield Text.assemble("  ", (look.pool.name, "bold"), ": ", (verdict, STYLES[verdict]))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True, min_width=len(Verdict.UNANSWERED))
    facts.add_column(overflow="fold")
    facts.add_row(Text(look.pool.provider), Text(in_words(look.pool.target)))
    facts.add_row(Text("replicas"), Text(_counts(look)))
    for level, what, remedy in _lines(look):
        facts.add_row(Text(level, style=STYLES[level]), Text(what))
        if remedy:
            facts.add_row(Text(), Text(f"to do: {remedy}"))
    yield Padding(facts, (0, 0, 0, 4))


def in_words(target: Mapping[str, object]) -> str:
    """A target as its keys and values, in the order of the rule file."""
    return ", ".join(f"{key} {_value(value)}" for key, value in target.items()) or "as by default"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _counts(look: Look) -> str:
    allowed = f"{look.pool.min_replicas} to {look.pool.max_replicas} by the rule file"
    report = look.report
    if report is None:
        return f"unknown; {allowed}"
    going = f", {report.terminating} going" if report.terminating else ""
    return (
        f"told {report.desired}: {report.ready} ready, {report.starting} starting{going}; {allowed}"
    )


def _lines(look: Look) -> Iterator[Line]:
    for failure in look.failures:
        yield _failed(failure)
    if look.report is not None and look.report.short:
        yield Level.WARNING.value, f"ordered replicas do not come: {look.report.short}", ""
    for finding in look.findings:
        yield finding.level.value, finding.what, finding.remedy
    if (ahead := _ahead(look)) is not None:
        yield ahead


def _failed(failure: Failure) -> Line:
    level = Verdict.UNANSWERED if failure.outside else Verdict.PROBLEM
    return level.value, f"{STEPS[failure.step]} ({failure.kind}): {failure.message}", ""


def _ahead(look: Look) -> Line | None:
    """What a daemon that starts now would do before it hears telemetry, where that is anything."""
    made, report = look.decision, look.report
    if made is None or report is None:
        return None
    why = f"{REASONS[made.reason]} ({made.reason})"
    if made.desired == made.current:
        then = f"holds it at {made.current} for now: {why}"
    elif made.outcome is Outcome.ADVISE:
        then = f"advises {made.desired} at once and sets nothing: {why}"
    else:
        then = f"sets {made.desired} at once: {why}"
    if look.out_of_bounds:
        bounds = f"{look.pool.min_replicas} to {look.pool.max_replicas}"
        return (
            Level.WARNING.value,
            f"the count is {report.desired}, outside {bounds}; a daemon that starts now {then}",
            "set the count by hand, or correct `replicas`, where that is not meant",
        )
    if made.desired == made.current:
        return None
    return Level.OK.value, f"a daemon that starts now {then}", ""


def _summary(looks: Iterable[Look]) -> Text:
    found = Counter(look.verdict for look in looks)
    words = {
        Verdict.OK: "well",
        Verdict.WARNING: "with a warning",
        Verdict.PROBLEM: "with a problem",
        Verdict.UNANSWERED: "without an answer",
    }
    parts = [f"{found[verdict]} {text}" for verdict, text in words.items() if found[verdict]]
    total = found.total()
    pools = "1 pool" if total == 1 else f"{total} pools"
    return Text(f"{pools}: {', '.join(parts)}; nothing was changed", style="bold")

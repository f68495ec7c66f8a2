"""The `replay` command: reads the files, draws progress, prints what came of it."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table

from poolwright import rulefiles
from poolwright.decision import decide_again
from poolwright.errors import SettingsError
from poolwright.model.rule import RuleSet, ServiceRule
from poolwright.record.journal import Journal
from poolwright.runtime.plant_files import load_plant
from poolwright.runtime.replay import ReplayResult, decision_lines, replay
from poolwright.runtime.traces import open_trace
from poolwright.simulation.spec import plant_for


def choose_service(rules: RuleSet, name: str | None) -> ServiceRule:
    """The named service, or the only one. Raises SettingsError with the names there are."""
    found = [s for s in rules.services if name in (None, s.service)]
    if len(found) != 1:
        names = ", ".join(service.service for service in rules.services)
        msg = f"which service? --service is one of: {names}"
        raise SettingsError(msg)
    return found[0]


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What the command line says of a replay."""

    trace: Path
    rules: Path
    plant: Path | None = None
    """A plant file; without one the plant is the rule file's."""
    service: str | None = None
    seed: int = 1


def replay_trace(options: ReplayOptions, out: Console, err: Console, *, as_json: bool) -> None:
    """Prints decisions and a last line `{"summary": …}` as JSON lines, or a summary in a table."""
    rules = rulefiles.load(options.rules)
    service = choose_service(rules, options.service)
    spec = plant_for(service) if options.plant is None else load_plant(options.plant, service)
    with _progress(err) as bar:
        task = bar.add_task(f"reading {options.trace.name}", total=None)
        workload = open_trace(options.trace)
        bar.update(task, description=f"replaying {options.trace.name}")
        result = replay(
            rules,
            service,
            workload,
            spec,
            seed=options.seed,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        sys.stdout.write(decision_lines(result.decisions).decode())
        sys.stdout.write(json.dumps({"summary": summary(result)}, sort_keys=True) + "\n")
        return
    out.print(table(result, service, options.trace.name))


def _progress(err: Console) -> Progress:
    """A bar at a terminal, nothing in a pipe."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


def summary(result: ReplayResult) -> dict[str, Any]:
    """What the replay did and cost, in seconds, USD and shares."""
    return {
        "requests": result.requests,
        "ended": result.ended,
        "overdue": result.overdue,
        "attainment": result.attainment,
        "latency": result.latency,
        "cost_usd": result.cost_usd,
        "replica_seconds": result.replica_seconds,
        "hours": result.hours,
        "actions": result.actions,
        "decisions": len(result.decisions),
        "checks": result.checks,
    }


def table(result: ReplayResult, service: ServiceRule, title: str) -> Table:
    """The summary for people: what was asked, how well it went, what it cost, what was done."""
    shown = Table("", Column("", justify="right"), show_header=False, title=title)
    shown.add_row("requests", f"{result.requests:,}")
    shown.add_row("not ended", f"{result.requests - result.ended:,}")
    shown.add_row("of them too late for their SLO", f"{result.overdue:,}", end_section=True)
    goals = {rule.name: rule.attainment for rule in service.classes}
    for name, attained in result.attainment.items():
        shown.add_row(f"SLO kept, {name} (goal {goals[name] * 100:.6g}%)", f"{attained:.2%}")
    for name, seconds in result.latency.items():
        figure, percentile, _ = name.split("_")
        shown.add_row(f"{figure.upper()} {percentile}", f"{seconds * 1000:,.1f} ms")
    shown.add_section()
    for pool, usd in result.cost_usd.items():
        hours = result.replica_seconds[pool] / 3600
        shown.add_row(f"{pool}", f"{hours:,.2f} replica-hours, {usd:,.2f} USD")
    shown.add_row(
        f"all pools in {result.hours:.2f} h",
        f"{sum(result.cost_usd.values()):,.2f} USD",
        end_section=True,
    )
    shown.add_row("decisions", f"{len(result.decisions):,}")
    shown.add_row("of them scale actions", f"{result.actions:,}")
    shown.add_row("checks without news", f"{result.checks:,}")
    return shown


def decide_journal_again(path: Path, out: Console, *, as_json: bool) -> int:
    """Decides every recorded decision again from its inputs; 1 where any differs."""
    journal = Journal(path, read_only=True)
    rules: dict[str, RuleSet] = {}
    same, different = 0, []
    try:
        for stored in journal.decisions():
            decision = stored.decision
            revision = decision.rules_revision
            if revision not in rules:
                rules[revision] = rulefiles.load_sources(journal.rules(revision))
            service = choose_service(rules[revision], decision.service)
            if decide_again(service, decision) == decision:
                same += 1
            else:
                different.append(decision.id)
    finally:
        journal.close()
    if as_json:
        sys.stdout.write(json.dumps({"same": same, "different": different}) + "\n")
    else:
        out.print(f"{same} decisions come out the same, {len(different)} differ")
        for decision_id in different[:20]:
            out.print(f"  {decision_id}", highlight=False)
    return 1 if different else 0

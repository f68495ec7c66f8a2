"""The `replay` command: reads the files, draws progress, prints what came of it."""

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from poolwright import rulefiles
from poolwright.decision import decide_again
from poolwright.errors import SettingsError
from poolwright.model.rule import RuleSet, ServiceRule
from poolwright.record.journal import Journal
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


def replay_trace(
    trace: Path,
    rules_path: Path,
    service_name: str | None,
    seed: int,
    out: Console,
    err: Console,
    *,
    as_json: bool,
) -> None:
    """Prints the decisions as JSON lines, or a summary in a table."""
    rules = rulefiles.load(rules_path)
    service = choose_service(rules, service_name)
    workload = open_trace(trace)
    spec = plant_for(service)
    with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(f"replaying {trace.name}")
        result = replay(
            rules,
            service,
            workload,
            spec,
            seed=seed,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        sys.stdout.write(decision_lines(result.decisions).decode())
        return
    out.print(summary(result))


def summary(result: ReplayResult) -> Table:
    """What the replay did and cost."""
    table = Table("", "", show_header=False)
    table.add_row("requests", f"{result.requests:,} ({result.ended:,} ended)")
    for name, attained in result.attainment.items():
        table.add_row(f"SLO attainment, {name}", f"{attained:.2%}")
    for name, seconds in result.latency.items():
        table.add_row(name, f"{seconds * 1000:,.1f} ms")
    for pool, usd in result.cost_usd.items():
        table.add_row(f"cost, {pool}", f"{usd:,.2f} USD in {result.hours:.2f} h")
    table.add_row("scale actions", str(result.actions))
    table.add_row("decisions, checks", f"{len(result.decisions):,}, {result.checks:,}")
    return table


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

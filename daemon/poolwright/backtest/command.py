"""The `backtest` command: reads the files, plays, tells, writes the page, and judges."""

import json
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from poolwright import rulefiles
from poolwright.backtest.contenders import AGAINST, BASELINE, OURS
from poolwright.backtest.judging import Bounds, failures
from poolwright.backtest.page.page import page
from poolwright.backtest.recorded import journal_trace, prometheus_trace
from poolwright.backtest.result import Backtest, as_json
from poolwright.backtest.sweeping import sweep_all
from poolwright.backtest.telling import tell
from poolwright.backtest.world import Plan, Trace, world_of
from poolwright.clock import SystemClock
from poolwright.errors import SettingsError
from poolwright.model.rule import ServiceRule
from poolwright.rulefiles.quantities import QuantityError, fraction
from poolwright.runtime.plant_files import load_plant
from poolwright.runtime.replaying import choose_service
from poolwright.runtime.traces import arrivals_at, open_trace
from poolwright.settings import HistorySettings
from poolwright.simulation.spec import PlantSpec, plant_for

NOBODY = "none"


@dataclass(frozen=True, slots=True)
class BacktestOptions:
    """What the command line says of a backtest."""

    traces: tuple[Path, ...]
    """Trace files, and journals (`.db`)."""
    rules: Path
    plant: Path | None = None
    service: str | None = None
    against: str | None = None
    """Names with commas between; None: everybody, or nobody where there is a baseline."""
    baseline: Path | None = None
    report: Path | None = None
    bounds: Bounds = field(default_factory=Bounds)
    seed: int = 1
    jobs: int | None = None
    """None: as many as there are processors."""
    prometheus: str | None = None
    """URL of a server whose record is a trace, too."""
    days: float = 1.0
    """How much of a record is played: what is newest."""
    history: HistorySettings = field(default_factory=HistorySettings)


def share(text: str, option: str) -> float:
    """0.05 of `5%`; raises SettingsError that names the option."""
    try:
        return fraction(text)
    except QuantityError as error:
        msg = f"{option}: {error}; {error.hint}"
        raise SettingsError(msg) from error


def against(text: str | None, *, baseline: bool) -> tuple[str, ...]:
    """The contenders named; raises SettingsError with the names there are."""
    if text is None:
        return () if baseline else AGAINST
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == [NOBODY]:
        return ()
    unknown = [name for name in names if name not in AGAINST]
    if unknown:
        msg = f"--against: no {', '.join(unknown)}; there are {', '.join(AGAINST)}, or {NOBODY}"
        raise SettingsError(msg)
    return tuple(dict.fromkeys(names))


def run_backtest(
    options: BacktestOptions, out: Console, err: Console, *, as_json_text: bool = False
) -> int:
    """Plays everything and prints it; 1 where the rules are past a bound, else 0."""
    chosen = against(options.against, baseline=options.baseline is not None)
    plan, revision, warnings = _plan(options)
    for warning in warnings:
        err.print(f"warning: {warning}", highlight=False, soft_wrap=True)
    ours = (OURS,) if options.baseline is None else (OURS, BASELINE)
    service = world_of(plan, 0).service
    jobs = options.jobs or os.cpu_count() or 1
    with _bar(err) as bar:
        task = bar.add_task("playing", total=None)
        sweeps = sweep_all(
            plan,
            (*ours, *chosen),
            jobs=jobs,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    result = Backtest(plan, revision, service, (*ours, *chosen), sweeps)
    names = [trace.name for trace in plan.traces]
    past = failures(
        result.runs(BASELINE), result.runs(OURS), service.classes, options.bounds, names
    )
    result = Backtest(plan, revision, service, (*ours, *chosen), sweeps, tuple(past))
    if options.report is not None:
        _write(options.report, page(result))
    if as_json_text:
        sys.stdout.write(json.dumps(as_json(result), indent=2, sort_keys=True) + "\n")
    else:
        tell(result, out)
        if options.report is not None:
            out.print(f"report: {options.report}", highlight=False)
    return 1 if past else 0


def _plan(options: BacktestOptions) -> tuple[Plan, str, list[str]]:
    """What is played, the rules' revision, and what is to be known of the traces."""
    rules = rulefiles.load(options.rules)
    service = choose_service(rules, options.service)
    spec = plant_for(service) if options.plant is None else load_plant(options.plant, service)
    traces, warnings = _traces(options, service)
    old = None if options.baseline is None else rulefiles.load(options.baseline)
    if old is not None:
        spec = _with_pools_of(spec, choose_service(old, service.service))
    plan = Plan(
        rules=dict(rules.sources),
        baseline=None if old is None else dict(old.sources),
        service=service.service,
        spec=spec,
        traces=tuple(traces),
        seed=options.seed,
    )
    return plan, rules.revision, warnings


def _traces(options: BacktestOptions, service: ServiceRule) -> tuple[list[Trace], list[str]]:
    """Raises TraceError and HistoryError, before anything is played."""
    traces, warnings = [], []
    for path in options.traces:
        if path.suffix == ".db":
            trace, said = journal_trace(path, service, options.days, options.seed)
            warnings += said
        else:
            trace = Trace(path.name, open_trace(path))
            # Raises TraceError for a class that the service does not have.
            arrivals_at(trace.workload, service, origin_s=0.0)
        traces.append(trace)
    if options.prometheus is not None:
        now = SystemClock().now()
        trace, said = prometheus_trace(
            options.prometheus, options.history, service, options.days, options.seed, now
        )
        traces.append(trace)
        warnings += said
    if not traces:
        msg = "nothing to play: name a trace, a journal, or --prometheus URL"
        raise SettingsError(msg)
    return traces, warnings


def _with_pools_of(spec: PlantSpec, old: ServiceRule) -> PlantSpec:
    """The plant with the pools that only the old rules know, as those declare them."""
    known = {pool.name for pool in spec.pools}
    gone = tuple(pool for pool in plant_for(old).pools if pool.name not in known)
    return replace(spec, pools=spec.pools + gone)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"--report: {path} cannot be written ({error.strerror})"
        raise SettingsError(msg) from error


def _bar(err: Console) -> Progress:
    """A bar at a terminal, nothing in a pipe."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )

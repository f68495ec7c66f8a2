"""A backtest in the terminal."""

from collections.abc import Mapping

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from poolwright.backtest.contenders import OURS, TITLES
from poolwright.backtest.result import Backtest
from poolwright.backtest.sweeping import Sweep


def tell(result: Backtest, out: Console) -> None:
    for trace in range(len(result.plan.traces)):
        out.print(table(result, trace, wide=out.width >= 120))
    if (change := result.change) is not None:
        out.print(
            f"against the old rules: cost {change.cost_usd[0]:,.2f} → {change.cost_usd[1]:,.2f} USD"
            f" ({change.cost_increase:+.1%}), minutes below a goal {change.slo_minutes[0]} → "
            f"{change.slo_minutes[1]}, scale actions {change.actions[0]} → {change.actions[1]}",
            highlight=False,
        )
    for failure in result.failures:
        out.print(f"FAIL {failure}", highlight=False, markup=False)


def table(result: Backtest, trace: int, *, wide: bool) -> Table:
    """Those that keep the SLOs at the top, the cheapest first; `wide` from 120 columns on.

    In a narrow one, latencies make room where there are several classes.
    """
    classes = result.classes(trace)
    shown = Table(
        box=SIMPLE,
        title=result.plan.traces[trace].name,
        title_justify="left",
        padding=0,
        show_edge=False,
    )
    shown.add_column("", no_wrap=True)
    if wide:
        shown.add_column("at its best with")
    for rule in classes:
        shown.add_column(
            f"{rule.name}\n≥ {rule.attainment * 100:.6g}%", justify="right", no_wrap=True
        )
    heads = ["USD", "of clair-\nvoyant", "scale\nactions", "minutes\nbelow"]
    heads += ["replica-\nhours", "TTFT ms\np50 / p99", "ITL ms\np50 / p99"] if wide else []
    heads += [] if wide or len(classes) > 1 else ["TTFT\np99 ms", "ITL\np99 ms"]
    for head in heads:
        shown.add_column(head, justify="right", no_wrap=True)
    for sweep in result.ranked(trace):
        shown.add_row(*_cells(result, sweep, wide=wide), style=_style(sweep))
    return shown


def _style(sweep: Sweep) -> str:
    weight = "bold" if sweep.best.contender == OURS else ""
    return weight if sweep.keeps else f"{weight} dim".strip()


def _cells(result: Backtest, sweep: Sweep, *, wide: bool) -> list[str]:
    run = sweep.best
    relative = result.relative_cost(run)
    name = f"{'✓' if sweep.keeps else '✗'} {TITLES[run.contender]}"
    classes = result.classes(run.trace)
    attained = [run.attainment.get(rule.name) for rule in classes]
    cells = [
        *((name, run.setting or "its rules") if wide else (name,)),
        *("–" if share is None else f"{share:.2%}" for share in attained),
        f"{run.cost_usd:,.2f}",
        "–" if relative is None else f"{relative:.2f}×",
        f"{run.actions:,}",
        f"{run.slo_minutes:,}",
    ]
    if wide:
        cells.append(f"{run.replica_hours:,.1f}")
        return [*cells, pair_ms(run.latency, "ttft"), pair_ms(run.latency, "itl")]
    if len(classes) > 1:
        return cells
    return [*cells, _p99_ms(run.latency, "ttft"), _p99_ms(run.latency, "itl")]


def _p99_ms(latency: Mapping[str, float], figure: str) -> str:
    seconds = latency.get(f"{figure}_p99_s")
    return "–" if seconds is None else f"{seconds * 1000:,.0f}"


def pair_ms(latency: Mapping[str, float], figure: str) -> str:
    """Median and 99th percentile in milliseconds."""
    if f"{figure}_p50_s" not in latency:
        return "–"
    return " / ".join(f"{latency[f'{figure}_p{p}_s'] * 1000:,.0f}" for p in (50, 99))

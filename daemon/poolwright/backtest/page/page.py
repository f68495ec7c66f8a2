"""Puts the page together: what came of it in a sentence, then table and charts of each trace."""

from html import escape

from poolwright.backtest.contenders import BASELINE, CLAIRVOYANT, OURS, TITLES
from poolwright.backtest.page import charts
from poolwright.backtest.page.style import style
from poolwright.backtest.result import Backtest
from poolwright.backtest.sweeping import Sweep
from poolwright.backtest.telling import pair_ms
from poolwright.record.wording import duration

SHOWN_AT_FIRST = (OURS, BASELINE, CLAIRVOYANT)


def page(result: Backtest) -> str:
    """The whole document, to be written as UTF-8."""
    title = f"Backtest of {result.service.service}"
    traces = range(len(result.plan.traces))
    body = "".join(_trace(result, trace) for trace in traces)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style()}</style></head><body><main>"
        f"<h1>{escape(title)}</h1>{_head(result)}{_judged(result)}{body}{_foot()}"
        "</main></body></html>\n"
    )


def _head(result: Backtest) -> str:
    goals = "; ".join(
        f"{rule.name}: {', '.join(_limits(rule.ttft_s, rule.itl_s, rule.e2e_s))} "
        f"for {rule.attainment * 100:.6g} % of the requests"
        for rule in result.service.classes
    )
    return (
        f'<p class="quiet">Rules <code>{escape(result.revision)}</code>, '
        f"seed {result.plan.seed}. Goals: {escape(goals)}.</p>"
    )


def _limits(ttft_s: float | None, itl_s: float | None, e2e_s: float | None) -> list[str]:
    named = (("first token", ttft_s), ("between tokens", itl_s), ("end", e2e_s))
    return [f"{name} within {_short(s)}" for name, s in named if s is not None]


def _short(seconds: float) -> str:
    return f"{seconds * 1000:g} ms" if seconds < 1 else f"{seconds:g} s"


def _judged(result: Backtest) -> str:
    change = result.change
    if change is None and not result.failures:
        return ""
    parts = []
    if change is not None:
        parts.append(
            f"<p>Against the old rules: cost {change.cost_usd[0]:,.2f} → "
            f"{change.cost_usd[1]:,.2f} USD ({change.cost_increase:+.1%}), minutes below a goal "
            f"{change.slo_minutes[0]} → {change.slo_minutes[1]}, scale actions "
            f"{change.actions[0]} → {change.actions[1]}.</p>"
        )
    parts += [f'<p class="bad">{escape(failure)}</p>' for failure in result.failures]
    css = "card fails" if result.failures else "card"
    return f'<section class="{css}">{"".join(parts)}</section>'


def _trace(result: Backtest, trace: int) -> str:
    played = result.plan.traces[trace]
    workload = played.workload
    requests, spans_s = len(workload.arrival_s), workload.duration_s
    rate = requests / max(spans_s, 1.0)
    told = f"{requests:,} requests in {duration(spans_s)}, {rate:.2f} a second on average."
    parts = [
        f"<h2>{escape(played.name)}</h2>",
        f'<p class="quiet">{escape(told)}</p>',
        f'<p class="verdict">{escape(verdict(result, trace))}</p>',
        f'<section class="card">{_table(result, trace)}</section>',
        _card(
            "Demand",
            "Requests that arrived, on average. A line, where there is one, is the busiest ten "
            "seconds of each bar.",
            charts.demand(result, trace),
        ),
    ]
    for pool in _pools(result, trace):
        parts += _pool(result, trace, pool)
    parts.append(
        _card(
            "Minutes below a goal",
            "Red: of the requests that arrived in that minute, fewer than the goal kept their SLO.",
            charts.minutes_below(result, trace),
        )
    )
    parts.append(
        _card(
            "Cost against attainment",
            "The sweeps' runs, but for those that are far dearer; the large dots are the ones of "
            "the table (a dearer one stands at the edge). Lower is better, and so is further left.",
            _swatches(result, ticked=True) + charts.money(result, trace),
        )
    )
    return "".join(parts)


def _pool(result: Backtest, trace: int, pool: str) -> list[str]:
    parts = []
    known = charts.forecast(result, trace, pool)
    if known:
        legend = (
            '<div class="legend"><span style="--c:var(--ink)"><i class="line"></i>'
            "need of the last seconds</span>"
            '<span class="poolwright"><i class="line dashed"></i>expected</span>'
            '<span style="--c:color-mix(in srgb,var(--poolwright) 25%,transparent)">'
            '<i class="box"></i>up to the upper quantile</span></div>'
        )
        parts.append(
            _card(
                f"What the demand needs: {pool}",
                "In replicas, as the decisions knew it. A forecast stands at the time it is for.",
                legend + known,
            )
        )
    parts.append(
        _card(
            f"Replicas: {pool}",
            "Dark: ready under the rules; pale: starting. Lines: ready replicas of the others. "
            "One that leaves the chart is cut off at its top. Triangles are decisions that scaled; "
            "their reasons show on hover.",
            _swatches(result, ticked=False) + charts.replicas(result, trace, pool),
        )
    )
    return parts


def _card(title: str, words: str, inner: str) -> str:
    return f'<section class="card"><h3>{escape(title)}</h3><p>{escape(words)}</p>{inner}</section>'


def _swatches(result: Backtest, *, ticked: bool) -> str:
    boxes = []
    for name in result.contenders:
        checked = " checked" if ticked or name in SHOWN_AT_FIRST else ""
        boxes.append(
            f'<label class="{name}"><input type="checkbox" class="{name}"{checked}>'
            f'<i class="line"></i>{escape(TITLES[name])}</label>'
        )
    return f'<div class="legend">{"".join(boxes)}</div>'


def _pools(result: Backtest, trace: int) -> list[str]:
    """Those that anybody ever had replicas of."""
    runs = [result.sweeps[trace, name].best for name in result.contenders]
    return [
        pool.name
        for pool in result.service.pools
        if any(run.timeline.ready[pool.name].any() for run in runs)
    ]


def verdict(result: Backtest, trace: int) -> str:
    """What came of the trace, in a sentence."""
    ours = result.sweeps[trace, OURS]
    relative = result.relative_cost(ours.best)
    times = "" if relative is None else f", {relative:.2f} times what a clairvoyant pays"
    kept = "kept every goal for" if ours.keeps else "missed a goal, at"
    first = f"Poolwright {kept} {ours.best.cost_usd:,.2f} USD{times}."
    others = [
        sweep
        for sweep in result.ranked(trace)
        if sweep.best.contender not in (OURS, BASELINE, CLAIRVOYANT)
    ]
    if not others:
        return first
    if not others[0].keeps:
        return f"{first} None of the others kept every goal, whatever their setting."
    best = others[0].best
    return (
        f"{first} The cheapest of the others that kept them was {TITLES[best.contender]} "
        f"({best.setting}) for {best.cost_usd:,.2f} USD."
    )


HEADS = (
    "USD", "of clair-\nvoyant", "replica-\nhours", "scale\nactions", "minutes\nbelow goal",
    "TTFT, ms\np50 / p99", "ITL, ms\np50 / p99",
)  # fmt: skip


def _table(result: Backtest, trace: int) -> str:
    goals = [f"{rule.name}\n≥ {rule.attainment * 100:.6g} %" for rule in result.classes(trace)]
    heads = "".join(f"<th>{escape(head)}</th>" for head in ("", "at its best with", *goals, *HEADS))
    rows = "".join(_row(result, sweep) for sweep in result.ranked(trace))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _row(result: Backtest, sweep: Sweep) -> str:
    run = sweep.best
    relative = result.relative_cost(run)
    cells = [
        f'<td><i class="swatch {run.contender}"></i>{escape(TITLES[run.contender])}</td>',
        f'<td class="setting">{escape(run.setting or "its rules")}</td>',
    ]
    for rule in result.classes(run.trace):
        attained = run.attainment.get(rule.name)
        if attained is None:
            cells.append("<td>–</td>")
        else:
            kept = attained >= rule.attainment
            css, mark = ("good", "✓") if kept else ("bad", "✗")
            cells.append(f'<td class="{css}">{mark} {attained:.2%}</td>')
    figures = (
        f"{run.cost_usd:,.2f}",
        "–" if relative is None else f"{relative:.2f}×",
        f"{run.replica_hours:,.1f}",
        f"{run.actions:,}",
        f"{run.slo_minutes:,}",
        pair_ms(run.latency, "ttft"),
        pair_ms(run.latency, "itl"),
    )
    cells += [f"<td>{figure}</td>" for figure in figures]
    css = " ".join(
        name
        for name, given in (("ours", run.contender == OURS), ("misses", not sweep.keeps))
        if given
    )
    return f'<tr class="{css}">{"".join(cells)}</tr>'


def _foot() -> str:
    return (
        "<footer>Money runs from order to release, from ten minutes before the trace to fifteen "
        "after it. The others' algorithms are restated from their public documentation with their "
        "defaults; each is shown with the setting of its sweep that keeps the goals at the least "
        "cost, or else with the one that comes nearest: a choice made with hindsight, which the "
        "rules do not have. The clairvoyant knows the arrivals: the "
        "cheapest plan that a search found, so the true optimum is no dearer.</footer>"
    )

"""The charts of one trace; they share the time axis, the trace's start at 0:00."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from poolwright.backtest.contenders import OURS, TITLES
from poolwright.backtest.figures import Run
from poolwright.backtest.page.svg import (
    LEFT,
    RIGHT,
    WIDTH,
    Chart,
    Point,
    Scale,
    chart,
    clock,
    line,
    path,
    steps,
    text,
    ticks,
    time_ticks,
)
from poolwright.backtest.result import Backtest

BINS: Final = 360
ROW: Final = 22.0
DEARER: Final = 1.5


def axis_end(result: Backtest, trace: int) -> float:
    """Seconds that the charts show: the trace, and a little of what comes after."""
    duration_s = result.plan.traces[trace].workload.duration_s
    return duration_s + min(600.0, 0.1 * duration_s + 60.0)


def demand(result: Backtest, trace: int) -> str:
    """Requests that arrived a second: the mean of a bin, and the busiest ten seconds in it."""
    workload, end = result.plan.traces[trace].workload, axis_end(result, trace)
    fine = max(1, int(end // 10))
    counts = np.histogram(workload.arrival_s, fine, (0.0, fine * 10.0))[0] / 10.0
    each = max(1, fine // BINS)
    padded = np.pad(counts, (0, -fine % each)).reshape(-1, each)
    mean, peak = padded.mean(axis=1), padded.max(axis=1)
    up = ticks(float(peak.max()))
    drawn = _timed("requests that arrived a second", "req/s", end, up, 190.0)
    at = [i * each * 10.0 for i in range(len(mean) + 1)]
    area = [(drawn.x(a), drawn.y(v)) for a, v in zip(at, [*mean, 0.0], strict=True)]
    base = drawn.y.start
    drawn.parts.append(
        path(f"{steps(area)}V{base:.1f}H{area[0][0]:.1f}Z", "demand", "mean of the bin")
    )
    if each > 1:
        high = [(drawn.x(a), drawn.y(v)) for a, v in zip(at, [*peak, 0.0], strict=True)]
        drawn.parts.append(path(steps(high), "peak", "busiest ten seconds"))
    return drawn.svg()


def forecast(result: Backtest, trace: int, pool: str) -> str:
    """What the decisions knew, in replicas; empty where none carries an assessment.

    A forecast stands at the time that it is for, so that it can be held against the need there.
    """
    run = result.sweeps[trace, OURS].best
    found = [one for one in run.forecasts if one.pool == pool]
    if not found:
        return ""
    end = axis_end(result, trace)
    highest = max([one.need for one in found] + [one.upper or 0.0 for one in found])
    drawn = _timed("need and forecast", "replicas needed", end, ticks(highest), 220.0)
    top = _binned(drawn, end, [(one.at_s + one.horizon_s, one.upper) for one in found])
    low = _binned(drawn, end, [(one.at_s + one.horizon_s, one.expected) for one in found])
    if top and low:
        drawn.parts.append(path(line([*top, *reversed(low)]) + "Z", "band"))
        drawn.parts.append(path(line(low), "expected"))
        drawn.parts.append(path(line(top), "upper"))
    needed = _binned(drawn, end, [(one.at_s, one.need) for one in found])
    if needed:
        drawn.parts.append(path(line(needed), "need"))
    return drawn.svg()


def _binned(drawn: Chart, end: float, values: Sequence[tuple[float, float | None]]) -> list[Point]:
    """The highest value of each of a few hundred bins: more could not be told apart."""
    highest: dict[int, tuple[float, float]] = {}
    for at, value in values:
        if value is None or not 0.0 <= at <= end:
            continue
        place = int(at / end * BINS)
        if place not in highest or value > highest[place][1]:
            highest[place] = (at, value)
    return [(drawn.x(at), drawn.y(value)) for _, (at, value) in sorted(highest.items())]


def replicas(result: Backtest, trace: int, pool: str) -> str:
    """Ready and starting ones under the rules; everybody's ready ones as lines; decisions.

    Whoever pays more than twice as much does not stretch the axis: such lines end at the top.
    """
    ours, end = result.sweeps[trace, OURS].best, axis_end(result, trace)
    runs = [result.sweeps[trace, name].best for name in result.contenders]
    compared = [run for run in runs if run.cost_usd <= 2.0 * ours.cost_usd]
    highest = max(int(_ordered(run, pool).max(initial=0)) for run in compared)
    drawn = _timed(f"replicas of {pool}", "replicas", end, ticks(highest, 5), 300.0)
    ready = _steps(drawn, ours, ours.timeline.ready[pool], end)
    total = _steps(drawn, ours, _ordered(ours, pool), end)
    base, left = drawn.y.start, LEFT
    drawn.parts.append(path(f"{total}V{base:.1f}H{left:.1f}Z", f"starting {OURS}"))
    drawn.parts.append(path(f"{ready}V{base:.1f}H{left:.1f}Z", f"ready {OURS}"))
    for run in runs:
        if run.contender != OURS:
            data = _steps(drawn, run, run.timeline.ready[pool], end)
            drawn.parts.append(path(data, f"series {run.contender}", TITLES[run.contender]))
    drawn.parts.append(path(ready, f"series {OURS}", TITLES[OURS]))
    drawn.parts += [
        _mark(drawn.x(mark.at_s), drawn.y(mark.desired), mark.desired > mark.current,
              f"{clock(mark.at_s)}  {mark.text}")
        for mark in ours.marks
        if mark.pool == pool and 0 <= mark.at_s <= end
    ]  # fmt: skip
    return drawn.svg()


def minutes_below(result: Backtest, trace: int) -> str:
    """A row for each contender, with the minutes in which a class was below its goal."""
    sweeps, end = result.ranked(trace), axis_end(result, trace)
    height = ROW * len(sweeps) + 30.0
    left = 150.0
    x = Scale(0.0, end, left, WIDTH - RIGHT)
    parts = []
    for row, sweep in enumerate(sweeps):
        run, y = sweep.best, ROW * row + 4.0
        parts.append(text(left - 10, y + 12, TITLES[run.contender], "tick", "end"))
        parts.append(
            f'<rect x="{left:.1f}" y="{y:.1f}" width="{WIDTH - RIGHT - left:.1f}" '
            f'height="{ROW - 6:.1f}" rx="3" class="strip"/>'
        )
        missed = run.minutes.missed(result.service.classes)
        for first, last in _spans(missed.tolist()):
            from_x, to_x = x(first * 60.0), x(last * 60.0)
            told = f"{TITLES[run.contender]}: below a goal from {clock(first * 60.0)} to "
            parts.append(
                f'<rect x="{from_x:.1f}" y="{y:.1f}" width="{max(to_x - from_x, 1.2):.1f}" '
                f'height="{ROW - 6:.1f}" class="missed"><title>{told}{clock(last * 60.0)}</title>'
                f"</rect>"
            )
    bottom = ROW * len(sweeps) + 2.0
    for at in time_ticks(end):
        parts.append(path(f"M{x(at):.1f} {bottom:.1f}v4", "axis"))
        anchor = "start" if at == 0 else "middle"
        parts.append(text(x(at), bottom + 17, clock(at), "tick", anchor))
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" '
        f'aria-label="minutes below a goal">{"".join(parts)}</svg>'
    )


def money(result: Backtest, trace: int) -> str:
    """Runs of the sweeps: what they cost, and how many more requests missed their SLO than may.

    Those far dearer than any that keeps the goal are left out; a best one stands at the edge.
    """
    sweeps = [result.sweeps[trace, name] for name in result.contenders]
    chosen_usd = [s.best.cost_usd for s in sweeps if s.keeps or s.best.contender == OURS]
    dearest = DEARER * max(chosen_usd)
    misses = [max(missed, 0.01) for sweep in sweeps for _, missed in sweep.tried]
    across = ticks(dearest, 8)
    low, high = 10 ** np.floor(np.log10(min(misses))), 10 ** np.ceil(np.log10(max(misses)))
    low, high = float(min(low, 0.1)), float(max(high, 10.0))
    drawn = chart(
        "cost against attainment", "missed requests, as a multiple of those that may miss",
        across=(0.0, across[-1]), up=(low, high), height=340.0, log_y=True,
    )  # fmt: skip
    powers = [10.0**n for n in range(round(np.log10(low)), round(np.log10(high)) + 1)]
    drawn.axes(across, powers, lambda v: f"{v:,.0f}", lambda v: f"{v:g}×", "USD for the whole run")
    goal = drawn.y(1.0)
    drawn.parts.append(
        f'<rect x="{LEFT:.1f}" y="{goal:.1f}" width="{WIDTH - LEFT - RIGHT:.1f}" '
        f'height="{drawn.y.start - goal:.1f}" class="kept"/>'
    )
    drawn.parts.append(path(f"M{LEFT:.1f} {goal:.1f}H{WIDTH - RIGHT:.1f}", "goal"))
    drawn.parts.append(text(WIDTH - RIGHT - 6, goal + 15, "keeps the goal", "unit", "end"))
    for sweep in sweeps:
        name = sweep.best.contender
        chosen = (sweep.best.cost_usd, sweep.best.missed_of_allowed(result.service.classes))
        drawn.parts += [
            _dot(drawn, name, one, radius=2.6) for one in sweep.tried if one[0] <= dearest
        ]
        drawn.parts.append(_dot(drawn, name, chosen, radius=6.0))
    return drawn.svg()


def _dot(drawn: Chart, name: str, run: tuple[float, float], *, radius: float) -> str:
    cost, missed = run
    told = f"{TITLES[name]}: {cost:,.2f} USD, {missed:.2f} × the requests that may miss"
    css = "chosen" if radius > 3 else "tried"
    return (
        f'<circle cx="{drawn.x(cost):.1f}" cy="{drawn.y(max(missed, 1e-9)):.1f}" r="{radius}" '
        f'class="{css} {name}"><title>{told}</title></circle>'
    )


def _mark(x: float, y: float, up: bool, title: str) -> str:
    """A triangle that points where the decision went; its reason is on hover."""
    data = f"M{x - 4:.1f} {y + 3:.1f}h8l-4 -7z" if up else f"M{x - 4:.1f} {y - 3:.1f}h8l-4 7z"
    return path(data, f"mark {'up' if up else 'down'} {OURS}", title)


def _ordered(run: Run, pool: str) -> np.ndarray:
    return run.timeline.ready[pool] + run.timeline.starting[pool]


def _steps(drawn: Chart, run: Run, values: np.ndarray, end: float) -> str:
    at = run.timeline.at_s
    which = np.flatnonzero((at >= 0) & (at <= end))
    xs = [drawn.x(float(a)) for a in at[which]]
    ys = [drawn.y(float(v)) for v in values[which]]
    return steps(list(zip(xs, ys, strict=True)) or [(LEFT, drawn.y.start)])


def _spans(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """First and one past the last of every run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(int)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _timed(label: str, unit: str, end: float, up: Sequence[float], height: float) -> Chart:
    drawn = chart(label, unit, across=(0.0, end), up=(0.0, up[-1]), height=height)
    drawn.axes(time_ticks(end), up, clock, unit_x="")
    return drawn

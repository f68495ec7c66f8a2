"""Just enough SVG for charts: scales, ticks, paths, axes. Sizes are in the view box's units."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

WIDTH: Final = 1000.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 16.0, 26.0, 26.0
TIME_STEPS_S: Final = (60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """From a value to a place; `log` for values that are all above zero."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self._of(self.low), self._of(self.high)
        share = (self._of(min(max(value, self.low), self.high)) - low) / ((high - low) or 1.0)
        return self.start + share * (self.end - self.start)

    def _of(self, value: float) -> float:
        return math.log10(value) if self.log else value


def ticks(high: float, wanted: int = 4) -> list[float]:
    """Round values from 0 to at least `high`."""
    if high <= 0:
        return [0.0, 1.0]
    raw = high / wanted
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= raw - 1e-12)
    return [step * i for i in range(math.ceil(high / step - 1e-9) + 1)]


def time_ticks(duration_s: float, wanted: int = 10) -> list[float]:
    step = next((s for s in TIME_STEPS_S if duration_s / s <= wanted), TIME_STEPS_S[-1])
    return [float(step * i) for i in range(int(duration_s // step) + 1)]


def clock(at_s: float) -> str:
    """Hours and minutes since the trace's start: `0:15`, `26:00`."""
    sign = "−" if at_s < 0 else ""
    minutes = round(abs(at_s) / 60)
    return f"{sign}{minutes // 60}:{minutes % 60:02d}"


def shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def line(points: Iterable[Point]) -> str:
    """A path's data through the points."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def steps(points: Sequence[Point]) -> str:
    """A path's data that keeps each value until the next point; equal neighbours are left out."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    last = points[0][1]
    for x, y in points[1:]:
        if y != last:
            parts.append(f"H{x:.1f}V{y:.1f}")
            last = y
    parts.append(f"H{points[-1][0]:.1f}")
    return "".join(parts)


def path(data: str, css: str, title: str = "") -> str:
    inner = f"<title>{escape(title)}</title>" if title else ""
    return f'<path class="{css}" d="{data}">{inner}</path>'


def text(x: float, y: float, words: str, css: str = "", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">{escape(words)}</text>'
    )


@dataclass(slots=True)
class Chart:
    """One plot area with its axes; parts are drawn in the order they are added."""

    label: str
    """Of the whole chart, for those who cannot see it."""
    unit: str
    """Of the vertical axis."""
    x: Scale
    y: Scale
    height: float
    parts: list[str] = field(default_factory=list)

    def axes(
        self,
        across: Sequence[float],
        up: Sequence[float],
        told_x: Callable[[float], str],
        told_y: Callable[[float], str] = shown,
        unit_x: str = "",
    ) -> None:
        bottom, left, right = self.y.start, self.x.start, self.x.end
        for value in up:
            y = self.y(value)
            self.parts.append(path(f"M{left:.1f} {y:.1f}H{right:.1f}", "grid"))
            self.parts.append(text(left - 8, y + 4, told_y(value), "tick", "end"))
        for value in across:
            x = self.x(value)
            self.parts.append(path(f"M{x:.1f} {bottom:.1f}v4", "axis"))
            anchor = "start" if x <= left else "middle"
            self.parts.append(text(x, bottom + 17, told_x(value), "tick", anchor))
        self.parts.append(path(f"M{left:.1f} {bottom:.1f}H{right:.1f}", "axis"))
        self.parts.append(text(0, self.y.end - 14, self.unit, "unit"))
        if unit_x:
            self.parts.append(text(right, bottom - 6, unit_x, "unit", "end"))

    def svg(self) -> str:
        return (
            f'<svg viewBox="0 0 {WIDTH:.0f} {self.height:.0f}" role="img" '
            f'aria-label="{escape(self.label)}">{"".join(self.parts)}</svg>'
        )


def chart(
    label: str, unit: str, *, across: tuple[float, float], up: tuple[float, float],
    height: float, log_y: bool = False,
) -> Chart:  # fmt: skip
    """A chart whose values go from the first to the second figure of `across` and `up`."""
    x = Scale(*across, LEFT, WIDTH - RIGHT)
    y = Scale(*up, height - BOTTOM, TOP, log=log_y)
    return Chart(label, unit, x, y, height)

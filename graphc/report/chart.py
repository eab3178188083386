"""A chart of series against iterations as inline SVG, on a linear and on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from graphc.records import record
from graphc.report.history import F64
from graphc.report.text import number_text

Bools: TypeAlias = npt.NDArray[np.bool_]

WIDTH, HEIGHT = 860, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 34, 10, 34  # pixels; room for half of a label of millions
COLUMNS = WIDTH - LEFT - RIGHT
COLOURS = 6
LARGEST = 1e100
DOTTED = 60  # points up to which each is marked


@record
class Line:
    """`colour`: 0 to 5; `faint`: drawn thin and pale, behind the others; `derived`: from another
    line, whose gaps it has."""

    name: str
    iters: F64
    values: F64
    colour: int = 0
    faint: bool = False
    derived: bool = False


@record(frozen=True)
class Axis:
    """Where values lie on an axis: `low` at pixel `start`, `high` at pixel `end`."""

    low: float
    high: float
    start: float
    end: float

    def place(self, values: F64) -> F64:
        return self.start + (values - self.low) / (self.high - self.low) * (self.end - self.start)


def draw(title: str, lines: Sequence[Line], span: tuple[float, float]) -> tuple[str, list[Any]]:
    """The <figure>, over the iterations `span`, and what its hover tells: per line name, iterations
    and values, at most two per pixel column. Values that are not finite are gaps, and so is what is
    not positive on the logarithmic scale."""
    x = _axis(*span, LEFT, WIDTH - RIGHT)
    points = [decimated(line.iters, line.values) for line in lines]
    scales = ["".join(_scale(lines, points, x, is_log=False))]
    if any((values > 0).any() for _, values in points):
        logs = []
        for line in lines:
            positive = np.where(line.values > 0, line.values, np.nan)
            logs.append(decimated(line.iters, np.log10(positive)))
        scales.append("".join(_scale(lines, logs, x, is_log=True)))
    kinds = ("linear", "log")
    groups = "".join(
        f'<g class="{kind}">{scale}</g>' for kind, scale in zip(kinds, scales, strict=False)
    )
    switch = ""
    if len(scales) > 1:
        switch = '<label><input type="checkbox"> log scale</label>'
    legend = "".join(
        f'<span class="key c{line.colour}{" faint" * line.faint}">{escape(line.name)}</span>'
        for line in lines
    )
    told = [[line.name, *map(_listed, pair)] for line, pair in zip(lines, points, strict=True)]
    return (
        f"<figure><figcaption><b>{escape(title)}</b>{legend}{_gaps(lines)}{switch}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" '
        f'data-low="{x.low:.12g}" data-high="{x.high:.12g}" data-start="{x.start}" '
        f'data-end="{x.end}">{_bottom(x)}{groups}'
        f'<line class="guide" y1="{TOP}" y2="{HEIGHT - BOTTOM}" x1="-9" x2="-9"/></svg>'
        '<div class="tip" hidden></div></figure>',
        told,
    )


def decimated(iters: F64, values: F64) -> tuple[F64, F64]:
    """At most two points per pixel column, its lowest and its highest, in their order; one that is
    NaN where it has none that is finite."""
    gaps = ~_drawable(values)
    if len(iters) <= 2 * COLUMNS:
        return iters, np.where(gaps, np.nan, values)
    column = np.floor((iters - iters[0]) / (iters[-1] - iters[0]) * COLUMNS)
    edges = [0, *(np.flatnonzero(np.diff(column)) + 1).tolist(), len(iters)]
    chosen: list[int] = []
    for low, high in pairwise(edges):
        part, gap = values[low:high], gaps[low:high]
        first = low + int(np.argmin(np.where(gap, np.inf, part)))
        second = low + int(np.argmax(np.where(gap, -np.inf, part)))
        chosen += sorted({first, second})
    return iters[chosen], np.where(gaps[chosen], np.nan, values[chosen])


def _drawable(values: F64) -> Bools:
    """Which are finite, and small enough to be scaled."""
    return np.abs(values) < LARGEST


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers between `low` and `high`: steps of 1, 2 or 5 times 10^n."""
    rough = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
    return [
        step * k for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def _axis(low: float, high: float, start: float, end: float) -> Axis:
    """The axis of a range that may be one value, or too wide for its span to be a float."""
    if not (high > low and math.isfinite(high - low)):
        low, high = low - abs(low or 1.0) / 2, low + abs(low or 1.0) / 2
    return Axis(low, high, start, end)


def _scale(
    lines: Sequence[Line], points: Sequence[tuple[F64, F64]], x: Axis, is_log: bool
) -> Iterator[str]:
    """Lines, ticks and grid of one scale; of the logarithmic one the values are log10 already."""
    values = np.concatenate([values for _, values in points])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    pad = (high - low) * 0.04 or (0.5 if is_log else 0.0)
    y = _axis(low - pad, high + pad, HEIGHT - BOTTOM, TOP)
    for value in _powers(y) if is_log else ticks(y.low, y.high):
        at = float(y.place(np.array(value)))
        shown = 10.0**value if is_log else value
        yield f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{number_text(shown)}</text>'
    for line, (iters, numbers) in sorted(
        zip(lines, points, strict=True), key=lambda pair: not pair[0].faint
    ):
        across, up = x.place(iters), y.place(numbers)
        style = f"c{line.colour}{' faint' * line.faint}"
        yield f'<path class="line {style}" d="{_path(across, up)}"/>'
        if len(iters) <= DOTTED:
            yield f'<path class="dots {style}" d="{_dots(across, up)}"/>'


def _powers(y: Axis) -> list[float]:
    """Ticks of log10: whole decades; where there are few of them, 2 and 5 times them too."""
    decades = range(math.ceil(y.low), math.floor(y.high) + 1)
    if len(decades) >= 3:
        step = 1 + (len(decades) - 1) // 6
        return [float(decade) for decade in decades[::step]]
    some = [
        decade + math.log10(factor)
        for decade in range(math.floor(y.low), math.ceil(y.high) + 1)
        for factor in (1, 2, 5)
        if y.low <= decade + math.log10(factor) <= y.high
    ]
    return some or [y.low, y.high]


def _bottom(x: Axis) -> str:
    """The axis of iterations, whole numbers."""
    base = HEIGHT - BOTTOM
    marks = [f'<path class="axis" d="M{LEFT} {base}H{WIDTH - RIGHT}"/>']
    for value in sorted({float(round(tick)) for tick in ticks(x.low, x.high, 8)}):
        if x.low <= value <= x.high:
            at = float(x.place(np.array(value)))
            marks.append(
                f'<text x="{at:.1f}" y="{base + 16}" text-anchor="middle">{value:,.0f}</text>'
            )
    return "".join(marks)


def _path(x: F64, y: F64) -> str:
    """Points joined by lines, with gaps where y is NaN; `h0` makes a dot of a lonely one."""
    parts, pen_down = [], False
    finite = np.isfinite(y)
    for index, is_point in enumerate(finite.tolist()):
        if not is_point:
            pen_down = False
            continue
        parts.append(f"{'L' if pen_down else 'M'}{x[index]:.1f} {y[index]:.1f}")
        if not pen_down and not (index + 1 < len(finite) and finite[index + 1]):
            parts.append("h0")
        pen_down = True
    return "".join(parts)


def _dots(x: F64, y: F64) -> str:
    places = zip(x.tolist(), y.tolist(), strict=True)
    return "".join(f"M{a:.1f} {b:.1f}h0" for a, b in places if math.isfinite(b))


def _gaps(lines: Sequence[Line]) -> str:
    """How much of each line cannot be drawn."""
    own = (line for line in lines if not line.derived)
    lost = {line.name: int((~_drawable(line.values)).sum()) for line in own}
    told = [f"{name}: {count:,} not finite" for name, count in lost.items() if count]
    return f'<span class="warning">{escape(", ".join(told))}</span>' if told else ""


def _listed(values: F64) -> list[float | None]:
    """JSON-ready, six digits; None for what is not finite."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values.tolist()]


__all__ = ["COLOURS", "COLUMNS", "Line", "decimated", "draw", "ticks"]

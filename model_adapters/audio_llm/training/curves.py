"""Training curves, drawn: loss, loss by task, expert load and gradient conflict in one self-contained SVG."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate
from pathlib import Path

Points = tuple[tuple[float, float], ...]

WIDTH, HEIGHT, HEADING = 640, 270, 26
LEFT, RIGHT, TOP, BOTTOM = 52, 440, 44, 236
GAP = 13
"""Pixels from one label to the next."""
MOST_POINTS = 300
INKS = (
    *("#1f5fa8", "#d55e00", "#2e8540", "#8e3a9d", "#a6761d"),
    *("#c2185b", "#00838f", "#555555", "#6f8a00", "#3f51b5"),
)
STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#222}.title{font-size:13px;font-weight:600}.note{fill:#666}"
    ".grid{stroke:#e3e3e3}.axis{stroke:#888}.mark{stroke:#888;stroke-dasharray:4 3}"
    ".line{fill:none;stroke-width:1.6}.step{stroke-width:3;stroke-linecap:round;opacity:.3}.tick{fill:#666}"
)


@dataclass(frozen=True, slots=True)
class Panel:
    """lines: (step, value) of every curve by its label; note: what a reader has to know; mark: a value that is
    drawn across, dashed; steps: whether single steps are drawn too, as points behind their running mean."""

    title: str
    note: str
    lines: Mapping[str, Points]
    mark: float | None = None
    steps: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from low to high, logarithmic or not, along which ticks stand."""

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        if self.logarithmic:
            return math.log(max(value, 1e-12) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def draw_curves(table: Path) -> Path | None:
    """Draws `<stage>.csv` as `<stage>.svg` beside it and returns its path; None if there is nothing to draw."""
    if not table.exists():
        return None
    columns = _read(table)
    panels = [panel for panel in _panels(columns) if panel.lines]
    if not panels:
        return None
    drawing = table.with_suffix(".svg")
    partial = table.with_suffix(".svg.partial")
    partial.write_text(_svg(f"{table.parent.name}: {table.stem}", panels), encoding="utf-8")
    partial.replace(drawing)
    return drawing


def running_mean(points: Points, width: int) -> Points:
    """The mean of the `width` points around each one, of those that there are at both ends."""
    sums = (0.0, *accumulate(value for _, value in points))
    smooth = []
    for place, (step, _) in enumerate(points):
        first, last = max(0, place - width // 2), min(len(points), place + width // 2 + 1)
        smooth.append((step, (sums[last] - sums[first]) / (last - first)))
    return tuple(smooth)


def _read(table: Path) -> dict[str, Points]:
    """Every column's values by step; steps without a value, or with one that is not finite, are left out."""
    columns: dict[str, list[tuple[float, float]]] = {}
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, text in row.items():
                if name != "step" and text and math.isfinite(float(text)):
                    columns.setdefault(name, []).append((float(row["step"]), float(text)))
    return {name: tuple(points) for name, points in columns.items()}


def _panels(columns: Mapping[str, Points]) -> list[Panel]:
    def named(prefix: str, label: str = "") -> dict[str, Points]:
        return {
            label + name.removeprefix(prefix): points
            for name, points in columns.items()
            if name.startswith(prefix)
        }

    experts = named("load_", "expert ")
    even = 1 / len(experts) if experts else None
    loss = {"loss": columns["loss"]} if "loss" in columns else {}
    share = "share of the routed slots, running mean; dashed: even"
    cosine = "cosine of two families' projector gradients on a batch, and running mean; below 0 they conflict"
    return [
        Panel("Loss", "every step and running mean", loss, steps=True),
        Panel("Loss by task", "running mean", named("loss_")),
        Panel("Expert load", share, experts, even),
        Panel("Gradient conflict", cosine, named("conflict_"), 0.0, steps=True),
    ]


def _svg(title: str, panels: Sequence[Panel]) -> str:
    rows = math.ceil(len(panels) / 2)
    width, height = WIDTH * min(2, len(panels)), HEADING + HEIGHT * rows
    steps = [step for panel in panels for points in panel.lines.values() for step, _ in points]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img"><title>{escape(title)}</title><style>{STYLE}</style>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text class="title" x="{LEFT}" y="18">{escape(title)}</text>',
    ]
    for place, panel in enumerate(panels):
        corner = f"{WIDTH * (place % 2)},{HEADING + HEIGHT * (place // 2)}"
        parts += [f'<g transform="translate({corner})">', *_panel(panel, (min(steps), max(steps))), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, steps: tuple[float, float]) -> list[str]:
    smooth = {name: running_mean(points, max(5, len(points) // 20)) for name, points in panel.lines.items()}
    first, last = steps[0], max(steps[1], steps[0] + 1)
    x = Axis(first, last, tuple(tick for tick in _ticks(first, last) if first <= tick <= last))
    drawn = [*smooth.values(), *(panel.lines.values() if panel.steps else ())]
    y = _value_axis([value for points in drawn for _, value in points], panel.mark)
    parts = [
        f'<text class="title" x="{LEFT}" y="18">{escape(panel.title)}</text>',
        f'<text class="note" x="{LEFT}" y="33">{escape(panel.note)}</text>',
        *_grid(x, y),
    ]
    if panel.mark is not None:
        parts.append(f'<path class="mark" d="M{LEFT} {_down(y, panel.mark)}H{RIGHT}"/>')
    for number, (name, points) in enumerate(panel.lines.items()):
        ink = f'stroke="{INKS[number % len(INKS)]}"'
        if panel.steps:
            dots = "".join(f"M{place} {height}h0" for place, height in _places(points, x, y))
            parts.append(f'<path class="step" {ink} d="{dots}"/>')
        line = "L".join(f"{place} {height}" for place, height in _places(smooth[name], x, y))
        parts.append(f'<path class="line" {ink} d="M{line}"/>')
    return [*parts, *_labels(smooth, y)]


def _grid(x: Axis, y: Axis) -> list[str]:
    parts = []
    for tick in y.ticks:
        height = _down(y, tick)
        parts.append(f'<path class="grid" d="M{LEFT} {height}H{RIGHT}"/>')
        parts.append(
            f'<text class="tick" text-anchor="end" x="{LEFT - 6}" y="{height + 4:.1f}">{tick:g}</text>'
        )
    parts.append(f'<path class="axis" d="M{LEFT} {BOTTOM}H{RIGHT}"/>')
    for tick in x.ticks:
        at = _across(x, tick)
        parts.append(f'<text class="tick" text-anchor="middle" x="{at}" y="{BOTTOM + 15}">{tick:g}</text>')
    return parts


def _labels(lines: Mapping[str, Points], y: Axis) -> list[str]:
    """Every line's name and last value at the right, from top to bottom in the order of those values."""
    order = sorted(enumerate(lines.items()), key=lambda item: -item[1][1][-1][1])
    ends = [min(max(_down(y, points[-1][1]), TOP), BOTTOM) for _, (_, points) in order]
    heights: list[float] = []
    for place, end in enumerate(ends):
        lowest = BOTTOM - GAP * (len(ends) - 1 - place)
        above = heights[-1] + GAP if heights else TOP - GAP
        heights.append(max(above, min(end, lowest)))
    parts = []
    for (place, (name, points)), end, height in zip(order, ends, heights, strict=True):
        ink, value = INKS[place % len(INKS)], points[-1][1]
        elbow = f"M{RIGHT + 1} {end:.1f}L{RIGHT + 12} {height:.1f}"
        parts.append(f'<path class="line" stroke="{ink}" d="{elbow}"/>')
        parts.append(
            f'<text x="{RIGHT + 16}" y="{height + 4:.1f}" style="fill:{ink}">{escape(name)} {value:.3g}</text>'
        )
    return parts


def _places(points: Points, x: Axis, y: Axis) -> list[tuple[float, float]]:
    """Where points are in the drawing; of very many, some."""
    every = math.ceil(len(points) / MOST_POINTS)
    return [(_across(x, step), _down(y, value)) for step, value in [*points[:-1:every], points[-1]]]


def _across(axis: Axis, step: float) -> float:
    return round(LEFT + axis.share(step) * (RIGHT - LEFT), 1)


def _down(axis: Axis, value: float) -> float:
    return round(BOTTOM - axis.share(value) * (BOTTOM - TOP), 1)


def _value_axis(values: Sequence[float], mark: float | None) -> Axis:
    """Around all values and the mark, from tick to tick; logarithmic where they span a factor of thirty."""
    values = [*values, *([] if mark is None else [mark])]
    low, high = min(values), max(values)
    if low > 0 and high >= 30 * low:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        round_numbers = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
        low = max(number for number in round_numbers if number <= low)
        high = min(number for number in round_numbers if number >= high)
        ticks = tuple(number for number in round_numbers if low <= number <= high)
        return Axis(low, high, ticks, logarithmic=True)
    ticks = _ticks(low, high)
    return Axis(ticks[0], ticks[-1], ticks)


def _ticks(low: float, high: float) -> tuple[float, ...]:
    """Three to nine round numbers around a range, at least two even if it is a single value."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 5))
    step = next(step * power for step in (1, 2, 5, 10) if span / (step * power) <= 7)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(place * step, 12) for place in range(first, max(last, first + 1) + 1))

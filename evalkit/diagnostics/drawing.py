"""Heat maps, points and bars: what the reports and pages show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.diagnostics.shapes import INK, LINE, SOFT, Circle, Drawing, Line, Polygon, Rect, Shape, Text

Floats = NDArray[np.float64]

LETTER = 6.4
CELL, ROW = 52.0, 26.0
TOP = 58.0
PANEL = 260.0
BAR, SPAN = 22.0, 340.0
# Colours that are told apart with every kind of colour vision (Okabe and Ito 2008), each with a shape.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#444444")
WHITE, BLUE, RED = (250, 250, 252), (8, 64, 129), (179, 51, 43)


@dataclass(frozen=True, slots=True)
class Panel:
    """Points [n, 2] with a label each; shares: of the variance, of the two axes."""

    title: str
    points: Floats
    labels: tuple[str, ...]
    shares: tuple[float, float]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """low, high: its interval, if it has one; group: bars of one group have one colour."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    group: int = 0


def heat_map(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Floats,
    *,
    low: float,
    high: float,
    note: str = "",
    digits: int = 2,
) -> Drawing:
    """values [rows, columns] from white at `low` to blue at `high`; with low < 0 < high white is at 0 and
    red below it. Every cell shows its number; NaN is left empty."""
    left = 28 + LETTER * max(map(len, rows))
    cell = max(CELL, 12 + LETTER * max(map(len, columns)))
    width = max(left + cell * len(columns) + 16, 32 + 7.4 * len(title), 32 + LETTER * len(note))
    bottom = TOP + ROW * len(rows)
    parts: list[Shape] = [Text(16, 22, title, size=14, weight=600)]
    parts += [
        Text(left + cell * (x + 0.5), TOP - 8, name, anchor="middle", fill=SOFT)
        for x, name in enumerate(columns)
    ]
    for y, name in enumerate(rows):
        parts.append(Text(left - 8, TOP + ROW * (y + 0.66), name, anchor="end"))
        for x in range(len(columns)):
            parts += _cell((left + cell * x, TOP + ROW * y, cell), float(values[y, x]), low, high, digits)
    parts.append(Text(16, bottom + 22, note, fill=SOFT))
    return Drawing(title, width, bottom + 36, parts)


def scatter(title: str, panels: Sequence[Panel]) -> Drawing:
    """Panels side by side, the same colour and shape for a label in all of them, one legend below."""
    names = list(dict.fromkeys(label for panel in panels for label in panel.labels))
    parts: list[Shape] = [Text(16, 22, title, size=14, weight=600)]
    for place, panel in enumerate(panels):
        parts += _panel(16 + place * (PANEL + 24), TOP, panel, names)
    x, y = 24.0, TOP + PANEL + 46
    edge = 16 + len(panels) * (PANEL + 24)
    for index, name in enumerate(names):
        if x + 24 + LETTER * len(name) > edge and x > 24:
            x, y = 24.0, y + 20
        parts += [_mark(x, y - 4, index), Text(x + 10, y, name)]
        x += 34 + LETTER * len(name)
    return Drawing(title, max(edge, 32 + 7.4 * len(title)), y + 16, parts)


def bars(title: str, panels: Mapping[str, Sequence[Bar]], *, note: str = "", digits: int = 3) -> Drawing:
    """Horizontal bars from 0 with their intervals, in panels one below the other, each with a scale of its own."""
    labels = [bar.label for panel in panels.values() for bar in panel]
    left = 24 + LETTER * max(map(len, labels))
    shapes: list[Shape] = [Text(16, 22, title, size=14, weight=600)]
    y = TOP
    for name, panel in panels.items():
        shapes.append(Text(16, y, name, weight=560))
        shapes += _bars(left, y + 10, panel, digits)
        y += 10 + BAR * len(panel) + 34
    shapes.append(Text(16, y - 8, note, fill=SOFT))
    width = max(left + SPAN + 80, 32 + 7.4 * len(title), 32 + LETTER * max(len(note), *map(len, panels)))
    return Drawing(title, width, y + 6, shapes)


def _bars(left: float, top: float, panel: Sequence[Bar], digits: int) -> list[Shape]:
    ends = [end for bar in panel for end in (bar.value, bar.low, bar.high) if end is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    scale = SPAN / ((high - low) or 1.0)

    def x(value: float) -> float:
        return left + (value - low) * scale

    shapes: list[Shape] = []
    for place, bar in enumerate(panel):
        y = top + BAR * place
        start, end = sorted((x(0.0), x(bar.value)))
        colour = COLOURS[bar.group % len(COLOURS)]
        shapes += [
            Text(left - 8, y + BAR * 0.68, bar.label, anchor="end"),
            Rect(start, y + 4, end - start, BAR - 8, colour, colour),
            Text(left + SPAN + 10, y + BAR * 0.68, _number(bar.value, digits)),
        ]
        if bar.low is not None and bar.high is not None:
            middle = y + BAR / 2
            shapes.append(Line((x(bar.low), middle), (x(bar.high), middle), width=1.5))
            shapes += [Line((x(v), middle - 4), (x(v), middle + 4), width=1.5) for v in (bar.low, bar.high)]
    shapes.append(Line((x(0.0), top), (x(0.0), top + BAR * len(panel)), stroke=SOFT))
    return shapes


def _cell(
    place: tuple[float, float, float], value: float, low: float, high: float, digits: int
) -> list[Shape]:
    """place: left, top and width."""
    x, y, width = place
    if not np.isfinite(value):
        return [Rect(x, y, width, ROW, "#ffffff")]
    if low < 0 < high:
        share, end = (value / high, BLUE) if value >= 0 else (value / low, RED)
    else:
        share, end = (value - low) / (high - low), BLUE
    share = min(max(share, 0.0), 1.0)
    colour = tuple(round(a + (b - a) * share) for a, b in zip(WHITE, end, strict=True))
    ink = "#ffffff" if share > 0.55 else INK
    text = Text(x + width / 2, y + ROW * 0.66, _number(value, digits), anchor="middle", fill=ink)
    return [Rect(x, y, width, ROW, "#{:02x}{:02x}{:02x}".format(*colour)), text]


def _number(value: float, digits: int) -> str:
    """Without a sign before zero."""
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def _panel(left: float, top: float, panel: Panel, names: Sequence[str]) -> list[Shape]:
    spans = panel.points.max(axis=0) - panel.points.min(axis=0)
    scale = np.where(spans > 0, spans, 1.0)
    places = (panel.points - panel.points.min(axis=0)) / scale * (PANEL - 24) + 12
    axes = [f"PC{axis + 1} ({share:.0%})" for axis, share in enumerate(panel.shares)]
    parts: list[Shape] = [Rect(left, top, PANEL, PANEL, "#ffffff", stroke=LINE)]
    parts += [Text(left, top - 8, f"{panel.title}  {panel.note}", weight=560)]
    parts += [Text(left + PANEL, top + PANEL + 16, f"{axes[0]} →, {axes[1]} ↑", anchor="end", fill=SOFT)]
    for (x, y), label in zip(places, panel.labels, strict=True):
        parts.append(_mark(left + x, top + PANEL - y, names.index(label)))
    return parts


def _mark(x: float, y: float, index: int) -> Shape:
    """A small shape by turns: circle, square, triangle, diamond, triangle on its tip."""
    colour, kind = COLOURS[index % len(COLOURS)], index % 5
    if kind == 0:
        return Circle(x, y, 3.6, colour, 0.75)
    corners = {
        1: ((-3.2, -3.2), (3.2, -3.2), (3.2, 3.2), (-3.2, 3.2)),
        2: ((0, -4.4), (4.2, 3.4), (-4.2, 3.4)),
        3: ((0, -4.8), (4.8, 0), (0, 4.8), (-4.8, 0)),
        4: ((0, 4.4), (4.2, -3.4), (-4.2, -3.4)),
    }[kind]
    return Polygon(tuple((x + dx, y + dy) for dx, dy in corners), colour, 0.75)

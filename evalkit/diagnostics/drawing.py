"""Heat maps, points and bars as SVG that needs nothing else: they stand in reports and on pages as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LETTER = 6.4
CELL, ROW = 52.0, 26.0
TOP = 58.0
PANEL = 260.0
INK, SOFT, LINE = "#16191d", "#59626c", "#d5d9de"
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
) -> str:
    """values [rows, columns] from white at `low` to blue at `high`; with low < 0 < high white is at 0 and
    red below it. Every cell shows its number; NaN is left empty."""
    left = 16 + LETTER * max(map(len, rows))
    cell = max(CELL, 12 + LETTER * max(map(len, columns)))
    width = max(left + cell * len(columns) + 16, 32 + 7.4 * len(title), 32 + LETTER * len(note))
    bottom = TOP + ROW * len(rows)
    parts = [_text(16, 22, title, size=14, weight=600)]
    parts += [
        _text(left + cell * (x + 0.5), TOP - 8, name, anchor="middle", fill=SOFT)
        for x, name in enumerate(columns)
    ]
    for y, name in enumerate(rows):
        parts.append(_text(left - 8, TOP + ROW * (y + 0.66), name, anchor="end"))
        for x in range(len(columns)):
            parts += _cell((left + cell * x, TOP + ROW * y, cell), float(values[y, x]), low, high, digits)
    parts.append(_text(16, bottom + 22, note, fill=SOFT))
    return _svg(width, bottom + 36, title, parts)


def scatter(title: str, panels: Sequence[Panel]) -> str:
    """Panels side by side, the same colour and shape for a label in all of them, one legend below."""
    names = list(dict.fromkeys(label for panel in panels for label in panel.labels))
    parts = [_text(16, 22, title, size=14, weight=600)]
    for place, panel in enumerate(panels):
        parts += _panel(16 + place * (PANEL + 24), TOP, panel, names)
    x, y = 24.0, TOP + PANEL + 46
    edge = 16 + len(panels) * (PANEL + 24)
    for index, name in enumerate(names):
        if x + 24 + LETTER * len(name) > edge and x > 24:
            x, y = 24.0, y + 20
        parts += [_mark(x, y - 4, index), _text(x + 10, y, name)]
        x += 34 + LETTER * len(name)
    return _svg(max(edge, 32 + 7.4 * len(title)), y + 16, title, parts)


def _cell(place: tuple[float, float, float], value: float, low: float, high: float, digits: int) -> list[str]:
    """place: left, top and width."""
    x, y, width = place
    if not np.isfinite(value):
        return [_rect(x, y, width, ROW, "#ffffff")]
    if low < 0 < high:
        share, end = (value / high, BLUE) if value >= 0 else (value / low, RED)
    else:
        share, end = (value - low) / (high - low), BLUE
    share = min(max(share, 0.0), 1.0)
    colour = tuple(round(a + (b - a) * share) for a, b in zip(WHITE, end, strict=True))
    ink = "#ffffff" if share > 0.55 else INK
    text = _text(x + width / 2, y + ROW * 0.66, f"{value:.{digits}f}", anchor="middle", fill=ink)
    return [_rect(x, y, width, ROW, "#{:02x}{:02x}{:02x}".format(*colour)), text]


def _panel(left: float, top: float, panel: Panel, names: Sequence[str]) -> list[str]:
    spans = panel.points.max(axis=0) - panel.points.min(axis=0)
    scale = np.where(spans > 0, spans, 1.0)
    places = (panel.points - panel.points.min(axis=0)) / scale * (PANEL - 24) + 12
    axes = [f"PC{axis + 1} ({share:.0%})" for axis, share in enumerate(panel.shares)]
    parts = [_rect(left, top, PANEL, PANEL, "#ffffff", stroke=LINE)]
    parts += [_text(left, top - 8, f"{panel.title}  {panel.note}", weight=560)]
    parts += [_text(left + PANEL, top + PANEL + 16, f"{axes[0]} → , {axes[1]} ↑", anchor="end", fill=SOFT)]
    for (x, y), label in zip(places, panel.labels, strict=True):
        parts.append(_mark(left + x, top + PANEL - y, names.index(label)))
    return parts


def _mark(x: float, y: float, index: int) -> str:
    """A small shape: circle, square, triangle or diamond, by turns."""
    style = f'fill="{COLOURS[index % len(COLOURS)]}" fill-opacity="0.75"'
    kind = index % 4
    if kind == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" {style}/>'
    if kind == 1:
        return f'<rect x="{x - 3.2:.1f}" y="{y - 3.2:.1f}" width="6.4" height="6.4" {style}/>'
    corners = (
        ((0, -4.4), (4.2, 3.4), (-4.2, 3.4)) if kind == 2 else ((0, -4.8), (4.8, 0), (0, 4.8), (-4.8, 0))
    )
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" {style}/>'


def _rect(x: float, y: float, width: float, height: float, fill: str, *, stroke: str = "#ffffff") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{fill}" stroke="{stroke}"/>'


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    weight: int = 400,
    anchor: str = "start",
    fill: str = INK,
) -> str:
    style = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{fill}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """On white, so that it can be read on dark pages too."""
    font = "Inter, system-ui, 'Segoe UI', Roboto, Arial, sans-serif"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" font-family="{font}" role="img">'
    )
    body = [
        head,
        f"<title>{escape(title)}</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    return "\n".join([*body, *parts, "</svg>"]) + "\n"

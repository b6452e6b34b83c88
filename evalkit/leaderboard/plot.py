"""Cost against quality, as the places of points, labels and ticks in a drawing of fixed size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evalkit.leaderboard.averages import Average, Score
from evalkit.leaderboard.cost import Cost, count_text
from evalkit.leaderboard.scales import Scale, linear, logarithmic
from evalkit.leaderboard.table import Row, Table

LETTER, LINE = 6.6, 13.0
LABEL_LENGTH = 28

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """A drawing and the rectangle inside it between the axes, in pixels from the upper left."""

    width: float = 520
    height: float = 340
    left: float = 44
    right: float = 504
    top: float = 14
    bottom: float = 294


FRAME = Frame()


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Point:
    """A row: its place, the ends of its interval (equal to y without one), and where its label goes."""

    x: float
    y: float
    top: float
    bottom: float
    label: str
    label_x: float
    label_y: float
    anchor: str
    withheld: bool
    summary: str


@dataclass(frozen=True, slots=True)
class Plot:
    side: str
    x_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """What a row costs; 0 where that is not known."""

    key: str
    label: str
    cost: Callable[[Cost], float]
    text: Callable[[float], str]


AXES = (
    Axis("active", "Active parameters", lambda cost: cost.active_parameters, count_text),
    Axis("total", "Parameters", lambda cost: cost.parameters, count_text),
    Axis(
        "time",
        "Wall time for each second of audio, s",
        lambda cost: cost.wall_seconds / cost.audio_seconds if cost.audio_seconds > 0 else 0.0,
        lambda seconds: f"{seconds:.3g}",
    ),
)


def plots(table: Table, found: Sequence[Average]) -> Mapping[Axis, tuple[Plot, ...]]:
    """For every axis on which a cost is known, one plot for each average that some row has."""
    drawn = {axis: [_plot(table, average, axis) for average in found] for axis in AXES}
    kept = {axis: tuple(plot for plot in made if plot is not None) for axis, made in drawn.items()}
    return {axis: made for axis, made in kept.items() if made}


def _plot(table: Table, average: Average, axis: Axis) -> Plot | None:
    known = [
        (row, score, axis.cost(row.cost))
        for row, score in zip(table.rows, average.scores, strict=True)
        if score.value is not None and axis.cost(row.cost) > 0 and not row.one_of_many
    ]
    if not known:
        return None
    ends = [end for _, score, _ in known for end in (score.value, score.low, score.high) if end is not None]
    y = linear(ends, at_least=5.0, bounds=(0.0, 100.0))
    x = _cost_scale([cost for *_, cost in known])
    marks = [(_x(x, cost), _y(y, score.value or 0.0)) for _, score, cost in known]
    taken: list[Box] = [(at - 6, height - 6, at + 6, height + 6) for at, height in marks]
    points = [
        _point(row, score, mark, y, f"{row.label}: {score.value:.1f} at {axis.text(cost)}", taken)
        for (row, score, cost), mark in zip(known, marks, strict=True)
    ]
    return Plot(
        average.side,
        axis.label,
        tuple(Tick(_x(x, tick), axis.text(tick)) for tick in x.ticks),
        tuple(Tick(_y(y, tick), f"{tick:g}") for tick in y.ticks),
        tuple(points),
    )


def _point(
    row: Row, score: Score, mark: tuple[float, float], y: Scale, summary: str, taken: list[Box]
) -> Point:
    """The point at `mark`, its label where none of `taken` is; the label's place is added to them.

    Where all is taken there is no label: two on top of each other cannot be read, and the summary names the row.
    """
    label = row.label if len(row.label) <= LABEL_LENGTH else f"{row.label[: LABEL_LENGTH - 1]}…"
    label_x, label_y, anchor, box = _label(*mark, len(label) * LETTER, taken)
    if any(_overlap(box, other) for other in taken):
        label = ""
    else:
        taken.append(box)
    bottom, top = (mark[1] if end is None else _y(y, end) for end in (score.low, score.high))
    return Point(*mark, top, bottom, label, label_x, label_y, anchor, row.audio != "real", summary)


def _cost_scale(costs: Sequence[float]) -> Scale:
    """Logarithmic as soon as one row costs three times as much as another."""
    if max(costs) >= 3 * min(costs):
        return logarithmic(costs)
    return linear(costs, at_least=0.5 * max(costs), bounds=(0.0, 2 * max(costs)))


def _x(scale: Scale, value: float) -> float:
    return round(FRAME.left + scale.share(value) * (FRAME.right - FRAME.left), 1)


def _y(scale: Scale, value: float) -> float:
    return round(FRAME.bottom - scale.share(value) * (FRAME.bottom - FRAME.top), 1)


def _label(x: float, y: float, width: float, taken: Sequence[Box]) -> tuple[float, float, str, Box]:
    """The first place around the point where a label of this width is free; else the right side."""
    places = [
        (x + 9 * side, y + 4 + shift, "start" if side > 0 else "end")
        for shift in (0, -LINE, LINE, -2 * LINE, 2 * LINE)
        for side in (1, -1)
    ]
    boxes = [_box(at, base, anchor, width) for at, base, anchor in places]
    inside = [
        FRAME.left < left and right < FRAME.width and FRAME.top < top and bottom < FRAME.bottom
        for left, top, right, bottom in boxes
    ]
    free = [not any(_overlap(box, other) for other in taken) for box in boxes]
    order = sorted(range(len(places)), key=lambda place: (not inside[place], not free[place], place))
    best = order[0]
    at, base, anchor = places[best]
    return round(at, 1), round(base, 1), anchor, boxes[best]


def _box(x: float, base: float, anchor: str, width: float) -> Box:
    left = x if anchor == "start" else x - width
    return left, base - LINE + 3, left + width, base + 3


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]

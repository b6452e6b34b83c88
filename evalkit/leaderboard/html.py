"""A table as one self-contained HTML page. The same table gives the same bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evalkit.leaderboard.averages import Average, Score, averages
from evalkit.leaderboard.cost import count_text, memory_text
from evalkit.leaderboard.page import render_page
from evalkit.leaderboard.plot import FRAME, plots
from evalkit.leaderboard.ranking import Rank, ranks
from evalkit.leaderboard.table import Cell, Column, Row, Table
from evalkit.leaderboard.values import (
    CAPTION,
    MISSING,
    bounds_text,
    interval_text,
    metric_label,
    value_text,
)


@dataclass(frozen=True, slots=True)
class Heading:
    """kind: `average`, `metric` or `cost`; main: the first metric of its task, or no metric of a task."""

    kind: str
    title: str
    label: str
    detail: str
    family: str
    side: str
    higher_is_better: bool
    main: bool = True

    @property
    def option(self) -> str:
        return " ".join(part for part in (self.title, self.label) if part)


@dataclass(frozen=True, slots=True)
class Bar:
    """Percent of the width: the ends of the interval and the value."""

    low: float
    high: float
    at: float


@dataclass(frozen=True, slots=True)
class Field:
    """What stands in a cell. `number` is what it is sorted by, None where there is nothing; `hint` explains.

    bounds: the value if every answer that failed had been wrong, or right.
    """

    text: str
    number: float | None
    detail: str = ""
    bounds: str = ""
    bar: Bar | None = None
    rank: Rank = ""
    notes: tuple[int, ...] = ()
    hint: str = ""


NO_BREAK = "\u00a0"
NOTHING = Field(MISSING, None)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A column of the page: its heading and a field for every row."""

    heading: Heading
    fields: tuple[Field, ...]


def render_html(table: Table, title: str) -> str:
    """The table as a page: sortable, filterable, with averages, intervals as bars and cost against quality."""
    found = averages(table)
    columns = [
        *(_average_column(average) for average in found),
        *(_metric_column(table, place) for place in range(len(table.columns))),
        *_cost_columns(table.rows),
    ]
    rows = [(row, tuple(column.fields[place] for column in columns)) for place, row in enumerate(table.rows)]
    return render_page(
        "leaderboard",
        title=f"Leaderboard: {title}",
        caption=CAPTION,
        headings=tuple(column.heading for column in columns),
        rows=rows,
        sides=_distinct([column.side for column in table.columns]),
        families=_distinct([column.family for column in table.columns]),
        has_further=any(not column.heading.main for column in columns),
        plots=plots(table, found),
        frame=FRAME,
        devices=_distinct([device for row in table.rows for device in row.cost.devices]),
        statements=[average.statement for average in found],
        notes=table.notes,
    )


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys(names) if name)


def _average_column(average: Average) -> _Shown:
    heading = Heading(
        "average", average.side.capitalize(), f"average{NO_BREAK}↑", "0 to 100", "", average.side, True
    )
    ends = [
        end for score in average.scores for end in (score.value, score.low, score.high) if end is not None
    ]
    return _Shown(heading, tuple(_average_field(score, ends) for score in average.scores))


def _average_field(score: Score, ends: Sequence[float]) -> Field:
    if score.value is None:
        count = len(score.missing)
        names = ", ".join(score.missing)
        return Field(MISSING, None, f"{count} task{'s' if count > 1 else ''} not run", hint=names)
    if score.low is None or score.high is None:
        return Field(f"{score.value:.1f}", score.value)
    interval = f"[{score.low:.1f}, {score.high:.1f}]"
    bar = _bar(score.low, score.high, score.value, ends)
    return Field(f"{score.value:.1f}", score.value, interval, bar=bar)


def _metric_column(table: Table, place: int) -> _Shown:
    column = table.columns[place]
    cells = [row.cells[place] for row in table.rows]
    # The wide intervals of means over few seeds must not shrink all others to points.
    values = [cell.value for cell in cells if cell is not None and cell.spread is None]
    ends = [
        end
        for value in values
        for end in (value.value, value.low, value.high)
        if end is not None and math.isfinite(end)
    ]
    first = next(at for at, other in enumerate(table.columns) if other.heading == column.heading)
    heading = Heading(
        "metric",
        column.heading,
        metric_label(column.metric, column.higher_is_better).replace(" ", NO_BREAK),
        f"n = {column.n}",
        column.family,
        column.side,
        column.higher_is_better,
        main=first == place,
    )
    fields = [
        _metric_field(column, cell, rank, ends) for cell, rank in zip(cells, ranks(table, place), strict=True)
    ]
    return _Shown(heading, tuple(fields))


def _metric_field(column: Column, cell: Cell | None, rank: Rank, ends: Sequence[float]) -> Field:
    if cell is None:
        return NOTHING
    value = cell.value
    number = value.value if math.isfinite(value.value) else None
    bar = (
        None
        if number is None or value.low is None or value.high is None
        else _bar(value.low, value.high, number, ends)
    )
    text = value_text(column.metric, value.value)
    if cell.spread is not None:
        text += f" ± {value_text(column.metric, cell.spread)}"
    interval, bounds = interval_text(column.metric, value), bounds_text(column.metric, value)
    return Field(text, number, interval, bounds, bar, rank, cell.notes)


def _bar(low: float, high: float, at: float, ends: Sequence[float]) -> Bar | None:
    """On a line from the lowest to the highest of `ends`, with room for the dot on both sides; cut off there."""
    start, width = min(ends), max(ends) - min(ends)
    if width <= 0:
        return None
    shares = [4 + 92 * (end - start) / width for end in (low, high, at)]
    return Bar(*(round(min(max(share, 0.0), 100.0), 1) for share in shares))


def _cost_columns(rows: Sequence[Row]) -> list[_Shown]:
    """Size and speed, as far as any row knows them."""
    sizes = [_size_field(row) for row in rows]
    speeds = [_number_field(row.cost.times_real_time, lambda speed: f"{speed:.1f}") for row in rows]
    size = Heading("cost", "Parameters", "active", "of all", "", "", False)
    speed = Heading("cost", "Speed", f"× real time{NO_BREAK}↑", "all runs", "", "", True)
    flops = Heading("cost", "Projector", "FLOPs", "a second of audio", "", "", False)
    memory = Heading("cost", "Memory", "peak", "of a run", "", "", False)
    return [
        _Shown(heading, tuple(fields))
        for heading, fields in (
            (size, sizes),
            (flops, [_number_field(row.cost.projector_flops, count_text) for row in rows]),
            (memory, [_number_field(row.cost.peak_memory, memory_text) for row in rows]),
            (speed, speeds),
        )
        if any(field.number is not None for field in fields)
    ]


def _size_field(row: Row) -> Field:
    total, active = row.cost.parameters, row.cost.active_parameters or row.cost.parameters
    return Field(count_text(active), active, f"of {count_text(total)}") if active else NOTHING


def _number_field(number: float, text: Callable[[float], str]) -> Field:
    return Field(text(number), number) if number > 0 else NOTHING

"""A table as Markdown. The same table gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.leaderboard.averages import Score, averages
from evalkit.leaderboard.cost import count_text
from evalkit.leaderboard.sections import Section, sections
from evalkit.leaderboard.table import Cell, Column, Row, Table
from evalkit.leaderboard.values import CAPTION, MISSING


def render_markdown(table: Table, title: str) -> str:
    """The table under a heading, its notes as numbered lines below it.

    One that is too wide to be read stands in parts, one family at a time, after the averages of its sides.
    """
    lines = [f"# Leaderboard: {escape(title)}", "", CAPTION, ""]
    parts = sections(table)
    if len(parts) > 1:
        lines += _overview(table)
    for part in parts:
        lines += [f"## {escape(part.title)}", ""] if part.title else []
        lines += [*_part(table, part), ""]
    if table.notes:
        lines += ["## Notes", ""] if len(parts) > 1 else []
        lines += [f"{number}. {escape(note)}" for number, note in enumerate(table.notes, start=1)]
    return "\n".join(lines).rstrip("\n") + "\n"


def table_line(cells: list[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def score_text(score: Score) -> str:
    """`71.2 [66.0, 75.9]`, or how many tasks are missing for it."""
    if score.value is None:
        count = len(score.missing)
        return f"{MISSING} ({count} task{'' if count == 1 else 's'} not run)"
    bounds = (
        f" [{score.low:.1f}, {score.high:.1f}]" if score.low is not None and score.high is not None else ""
    )
    return f"{score.value:.1f}{bounds}"


def size_text(row: Row) -> str:
    """Active and all parameters: `156 M of 157 M`."""
    total, active = row.cost.parameters, row.cost.active_parameters or row.cost.parameters
    return f"{count_text(active)} of {count_text(total)}" if active else MISSING


def speed_text(row: Row) -> str:
    return f"{row.cost.times_real_time:.1f}" if row.cost.times_real_time else MISSING


def _overview(table: Table) -> Iterator[str]:
    found = averages(table)
    if not found:
        return
    yield from ("## Averages", "")
    sides = [f"{average.side}<br>average ↑" for average in found]
    yield table_line(["model", *sides, "parameters<br>active of all", "× real time"])
    yield table_line(["---", *("---:" for _ in sides), "---:", "---:"])
    for place, row in enumerate(table.rows):
        scores = [score_text(average.scores[place]) for average in found]
        yield table_line([escape(row.label), *scores, size_text(row), speed_text(row)])
    for average in found:
        yield from ("", escape(average.statement))
    yield ""


def _part(table: Table, part: Section) -> Iterator[str]:
    yield table_line(["model", *(_heading(table.columns[place]) for place in part.columns)])
    yield table_line(["---", *("---:" for _ in part.columns)])
    for place in part.rows:
        row = table.rows[place]
        cells = [_cell(table.columns[column].metric, row.cells[column]) for column in part.columns]
        yield table_line([escape(row.label), *cells])


def _heading(column: Column) -> str:
    return f"{escape(column.heading)}<br>{escape(column.label)}<br>n = {column.n}"


def _cell(metric: str, cell: Cell | None) -> str:
    if cell is None:
        return MISSING
    marks = ", ".join(str(number) for number in cell.notes)
    return cell.text(metric) + (f" <sup>{marks}</sup>" if marks else "")


def escape(text: str) -> str:
    """Names come from records: none may end a cell, start a tag or a link, or format the text."""
    flat = " ".join(text.split())
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        flat = flat.replace(sign, entity)
    return "".join(f"\\{sign}" if sign in "\\|`*[]" else sign for sign in flat)

"""A table as Markdown. The same table gives the same bytes."""

from __future__ import annotations

from evalkit.leaderboard.table import Cell, Column, Row, Table
from evalkit.leaderboard.values import CAPTION, MISSING, full_text


def render_markdown(table: Table, title: str) -> str:
    """The table under a heading, with its notes as numbered lines below it."""
    lines = [f"# Leaderboard: {escape(title)}", "", CAPTION, ""]
    lines.append(table_line(["model", *(_heading(column) for column in table.columns)]))
    lines.append(table_line(["---", *("---:" for _ in table.columns)]))
    lines += [table_line(_row(table, row)) for row in table.rows]
    if table.notes:
        lines.append("")
        lines += [f"{number}. {escape(note)}" for number, note in enumerate(table.notes, start=1)]
    return "\n".join(lines) + "\n"


def table_line(cells: list[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _heading(column: Column) -> str:
    return f"{escape(column.heading)}<br>{escape(column.label)}<br>n = {column.n}"


def _row(table: Table, row: Row) -> list[str]:
    cells = zip(table.columns, row.cells, strict=True)
    return [escape(row.label), *(_cell(column.metric, cell) for column, cell in cells)]


def _cell(metric: str, cell: Cell | None) -> str:
    if cell is None:
        return MISSING
    marks = ", ".join(str(number) for number in cell.notes)
    return full_text(metric, cell.value) + (f" <sup>{marks}</sup>" if marks else "")


def escape(text: str) -> str:
    """Names come from records: none may end a cell, start a tag or a link, or format the text."""
    flat = " ".join(text.split())
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        flat = flat.replace(sign, entity)
    return "".join(f"\\{sign}" if sign in "\\|`*[]" else sign for sign in flat)

"""A table as CSV: one line for each cell, plain numbers, so that a spreadsheet can sort and plot it."""

from __future__ import annotations

import csv
import io

from evalkit.leaderboard.table import Table

FIELDS = ("model", "audio", "task", "variant", "metric", "value", "low", "high", "n", "notes")


def render_csv(table: Table) -> str:
    """Values as they are in the records (a WER of 12.3 % is 0.123), empty where there is no number."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell is None:
                continue
            notes = " ".join(table.notes[number - 1] for number in cell.notes)
            numbers = [_number(number) for number in (cell.value.value, cell.value.low, cell.value.high)]
            writer.writerow(
                [row.model, row.audio, column.task, column.variant, column.metric, *numbers, column.n, notes]
            )
    return out.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)

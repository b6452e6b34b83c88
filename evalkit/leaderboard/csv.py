"""A table as CSV: one line for each cell, plain numbers, so that a spreadsheet can sort and plot it."""

from __future__ import annotations

import csv
import io

from evalkit.leaderboard.table import Table
from evalkit.tasks.schema import STATUSES

FIELDS = (
    *("row", "model", "audio", "seeds", "family", "side", "task", "variant", "metric"),
    *("value", "low", "high", "worst", "best", "spread", "n", *STATUSES, "notes"),
)


def render_csv(table: Table) -> str:
    """Values as they are in the records (a WER of 12.3 % is 0.123), empty where there is no number.

    seeds: the training seeds that a mean is over, empty for a single model; worst, best: the value if every
    answer that failed had been wrong, or right; a column for each status counts the answers.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell is None:
                continue
            notes = " ".join(table.notes[number - 1] for number in cell.notes)
            value = cell.value
            numbers = (value.value, value.low, value.high, value.worst, value.best, cell.spread)
            about = (
                row.label,
                row.model,
                row.audio,
                " ".join(map(str, row.seeds)),
                column.family,
                column.side,
            )
            counts = [cell.counts.get(status, 0) for status in STATUSES]
            writer.writerow(
                [
                    *(*about, column.task, column.variant, column.metric),
                    *(*map(_number, numbers), column.n, *counts, notes),
                ]
            )
    return out.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)

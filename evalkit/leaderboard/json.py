"""A table as JSON: its columns, rows, averages and notes as they are."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from evalkit.leaderboard.averages import averages
from evalkit.leaderboard.table import Cell, Row, Table


def render_json(table: Table) -> str:
    """Values as they are in the records (a WER of 12.3 % is 0.123), averages from 0 to 100, null for no number."""
    about = {
        "columns": [asdict(column) for column in table.columns],
        "rows": [_row(row) for row in table.rows],
        "averages": [asdict(average) for average in averages(table)],
        "notes": list(table.notes),
    }
    return json.dumps(about, indent=2) + "\n"


def _row(row: Row) -> dict[str, Any]:
    return {
        "row": row.label,
        "model": row.model,
        "audio": row.audio,
        "seeds": list(row.seeds),
        "cost": asdict(row.cost),
        "cells": [_cell(cell) for cell in row.cells],
    }


def _cell(cell: Cell | None) -> dict[str, Any] | None:
    if cell is None:
        return None
    value = cell.value
    numbers = (value.value, value.low, value.high, value.worst, value.best, cell.spread)
    names = ("value", "low", "high", "worst", "best", "spread")
    return {
        **{name: _number(number) for name, number in zip(names, numbers, strict=True)},
        "level": value.level,
        "counts": dict(cell.counts),
        "notes": list(cell.notes),
    }


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

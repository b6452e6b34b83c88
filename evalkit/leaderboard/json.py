"""A table as JSON: its columns, rows and notes as they are."""

from __future__ import annotations

import json
import math
from typing import Any

from evalkit.leaderboard.table import Cell, Table


def render_json(table: Table) -> str:
    """Values as they are in the records (a WER of 12.3 % is 0.123); null where there is no number."""
    columns = [
        {
            "task": column.task,
            "variant": column.variant,
            "metric": column.metric,
            "higher_is_better": column.higher_is_better,
            "n": column.n,
        }
        for column in table.columns
    ]
    rows = [
        {"model": row.model, "audio": row.audio, "cells": [_cell(cell) for cell in row.cells]}
        for row in table.rows
    ]
    return json.dumps({"columns": columns, "rows": rows, "notes": list(table.notes)}, indent=2) + "\n"


def _cell(cell: Cell | None) -> dict[str, Any] | None:
    if cell is None:
        return None
    value = cell.value
    return {
        "value": _number(value.value),
        "low": _number(value.low),
        "high": _number(value.high),
        "level": value.level,
        "notes": list(cell.notes),
    }


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

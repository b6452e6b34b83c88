"""Which values of a column are the best and the second best, as the table shows them."""

from __future__ import annotations

import math
from typing import Literal

from evalkit.leaderboard.table import Table
from evalkit.leaderboard.values import value_text

Rank = Literal["best", "second", ""]


def ranks(table: Table, column: int) -> tuple[Rank, ...]:
    """A rank for every row. Values that are shown alike share theirs; a column of one row has none.

    Rows whose audio was withheld and single seeds beside their mean take no part.
    """
    about = table.columns[column]
    shown: dict[str, float] = {}
    texts = []
    for row in table.rows:
        cell = row.cells[column]
        value = math.nan if cell is None else cell.value.value
        text = value_text(about.metric, value) if math.isfinite(value) and row.ranked else ""
        texts.append(text)
        if text:
            shown.setdefault(text, value)
    places: dict[str, Rank] = {}
    ordered = sorted(shown, key=lambda text: shown[text], reverse=about.higher_is_better)
    if sum(text != "" for text in texts) > 1:
        places = dict(zip(ordered, ("best", "second"), strict=False))
    return tuple(places.get(text, "") for text in texts)

"""Rows that are means over training seeds, put before the rows of the seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from evalkit.leaderboard.averages import limits
from evalkit.leaderboard.cost import Cost, cost_of
from evalkit.leaderboard.notes import failures_note, numbered, value_notes
from evalkit.leaderboard.seeds import arm_and_seed, mean_value
from evalkit.leaderboard.table import Cell, Column, Row
from evalkit.results.record import Provenance


def with_means(
    rows: Sequence[Row], columns: Sequence[Column], made: Sequence[Sequence[Provenance]], notes: list[str]
) -> list[Row]:
    """The rows; those of several training seeds of one arm together, by seed, their mean before them.

    made: the provenance of every row. No mean where one seed has two rows, such as with another backbone.
    """
    groups: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for place, row in enumerate(rows):
        arm, seed = arm_and_seed(row.model)
        groups.setdefault((arm, row.audio), []).append((seed, place))
    found: list[Row] = []
    for place, row in enumerate(rows):
        arm, _ = arm_and_seed(row.model)
        group = sorted(groups[arm, row.audio])
        seeds, places = tuple(seed for seed, _ in group), [at for _, at in group]
        if len(group) == 1 or len(set(seeds)) < len(seeds):
            found.append(row)
            if len(set(seeds)) > 1 and place == min(places):
                notes.append(
                    f"{arm}: no mean over its seeds, since one of them has two rows, made in different ways."
                )
        elif place == min(places):
            members = [rows[at] for at in places]
            cost = cost_of([one for at in places for one in made[at]])
            found.append(_mean_row(arm, seeds, members, columns, cost, notes))
            found += [replace(member, one_of_many=True) for member in members]
    return found


def _mean_row(
    arm: str,
    seeds: tuple[int, ...],
    members: Sequence[Row],
    columns: Sequence[Column],
    cost: Cost,
    notes: list[str],
) -> Row:
    """A mean only where every seed has a value."""
    cells: list[Cell | None] = []
    for place in range(len(columns)):
        known = [cell for row in members if (cell := row.cells[place]) is not None]
        finite = all(math.isfinite(cell.value.value) for cell in known)
        cells.append(
            _mean_cell(known, columns[place].metric, notes) if len(known) == len(members) and finite else None
        )
    audio = members[0].audio
    name = f"mean of {len(seeds)} seeds" + ("" if audio == "real" else f", audio: {audio}")
    return Row(f"{arm} ({name})", arm, audio, tuple(cells), cost, seeds)


def _mean_cell(cells: Sequence[Cell], metric: str, notes: list[str]) -> Cell:
    value, spread = mean_value([cell.value for cell in cells], limits(metric))
    counts: Counter[str] = Counter()
    for cell in cells:
        counts.update(cell.counts)
    few = f" ({value.note})" if value.note else ""
    texts = [
        f"Mean over {len(cells)} training seeds ± their standard deviation. Interval of the mean: Student's t over "
        f"the seeds joined with that over the samples{few}."
    ]
    texts += [*failures_note(counts), *value_notes([cell.value for cell in cells])]
    return Cell(value, numbered(texts, notes), dict(counts), spread)

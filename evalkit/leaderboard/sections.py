"""A wide table in parts that can be read: one family at a time, first metrics before further ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from evalkit.leaderboard.table import Table

WIDEST = 6
"""Columns of values that stand side by side on a page."""

_TITLES = {
    "asr": "Speech recognition",
    "captioning": "Audio captioning",
    "music_qa": "Music question answering",
    "emotion": "Emotion",
    "speaker": "Speaker",
}


@dataclass(frozen=True, slots=True)
class Section:
    """Places of columns, and of the rows that have a value in one of them. No title: the whole table."""

    title: str
    columns: tuple[int, ...]
    rows: tuple[int, ...]


def sections(table: Table, *, further: bool = True) -> list[Section]:
    """Every column once, at most `WIDEST` in a section; a table that fits is one section without a title.

    Without `further` only the first metric of every task.
    """
    firsts = first_columns(table)
    places = [place for place in range(len(table.columns)) if further or place in firsts]
    if len(places) <= WIDEST:
        return [Section("", tuple(places), tuple(range(len(table.rows))))]
    return list(_by_family(table, places, firsts))


def part_of(table: Table, section: Section) -> Table:
    """The section as a table of its own, with all notes."""
    rows = [
        replace(table.rows[place], cells=tuple(table.rows[place].cells[at] for at in section.columns))
        for place in section.rows
    ]
    return Table(tuple(table.columns[at] for at in section.columns), tuple(rows), table.notes)


def first_columns(table: Table) -> set[int]:
    """The places of the columns with the first metric of a task."""
    found: dict[str, int] = {}
    for place, column in enumerate(table.columns):
        found.setdefault(column.heading, place)
    return set(found.values())


def _by_family(table: Table, places: Sequence[int], firsts: set[int]) -> Iterator[Section]:
    families: dict[str, list[int]] = {}
    for place in places:
        families.setdefault(table.columns[place].family, []).append(place)
    for family, members in families.items():
        title = _TITLES.get(family, family.replace("_", " ").capitalize() or "Other tasks")
        leading = [place for place in members if place in firsts]
        others = [place for place in members if place not in firsts]
        if len(members) <= WIDEST:
            leading, others = members, []
        for part, name in ((leading, title), (others, f"{title}: further metrics")):
            for columns in _parts(part):
                yield Section(name, columns, _rows(table, columns))


def _parts(places: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Parts of equal length, give or take one."""
    count = -(-len(places) // WIDEST)
    for part in range(count):
        yield tuple(places[part * len(places) // count : (part + 1) * len(places) // count])


def _rows(table: Table, columns: Sequence[int]) -> tuple[int, ...]:
    return tuple(
        place
        for place, row in enumerate(table.rows)
        if any(row.cells[column] is not None for column in columns)
    )

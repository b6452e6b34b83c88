"""Parts of a data set by what its samples are: a field of theirs, their label, how long they are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from evalkit.results import JournalEntry

LABEL, DURATION = "label", "duration"
MOST_SLICES = 50
_SECONDS = (1, 2, 5, 10, 30)


def slices(entries: Sequence[JournalEntry], by: str) -> dict[str, list[int]]:
    """The places of the entries of every slice, in the order of the values; none if no entry has `by`.

    by: `label` (the first reference, where there are choices), `duration` (of the audio, in seconds), or a
    field that the journal keeps. ValueError for more than 50 different values, which are no slices.
    """
    places: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        value = slice_of(entry, by)
        if value is not None:
            places.setdefault(value, []).append(place)
    if len(places) > MOST_SLICES:
        raise ValueError(f"{by} has {len(places)} different values; slices are at most {MOST_SLICES}")
    order = list(_ranges()) if by == DURATION else sorted(places)
    return {value: places[value] for value in order if value in places}


def slice_of(entry: JournalEntry, by: str) -> str | None:
    """The slice that the entry belongs to; None if it has no such field."""
    if by == LABEL:
        return entry.references[0] if entry.choices else None
    if by == DURATION:
        return _range(entry.seconds) if entry.seconds > 0 else None
    value = entry.fields.get(by)
    return None if value is None else str(value)


def known_slices(entries: Sequence[JournalEntry]) -> list[str]:
    """What the entries can be sliced by."""
    names = {LABEL, DURATION, *(name for entry in entries for name in entry.fields)}
    return sorted(name for name in names if any(slice_of(entry, name) is not None for entry in entries))


def _ranges() -> list[str]:
    inner = [f"{low} to {high} s" for low, high in pairwise(_SECONDS)]
    return [f"under {_SECONDS[0]} s", *inner, f"{_SECONDS[-1]} s and more"]


def _range(seconds: float) -> str:
    return _ranges()[sum(seconds >= edge for edge in _SECONDS)]

"""From records to the table: what may share a column, what makes a row, what is to be noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any, NamedTuple

from evalkit.leaderboard.cost import cost_of
from evalkit.leaderboard.means import with_means
from evalkit.leaderboard.notes import chance_note, failures_note, interval_notes, numbered, value_notes
from evalkit.leaderboard.selection import differing, made_like, row_order
from evalkit.leaderboard.table import FAMILIES, Cell, Column, Row, Table
from evalkit.leaderboard.values import BOUNDS
from evalkit.results.record import MetricValue, Provenance, Result


class _RowKey(NamedTuple):
    """What makes a row: cells of one row must come from the same weights in the same number format."""

    model: str
    audio: str
    backbone: str
    arguments: str
    weights: str
    dtype: str

    @property
    def name(self) -> str:
        return self.model if self.audio == "real" else f"{self.model} (audio: {self.audio})"


@dataclass(frozen=True, slots=True)
class _Group:
    """The results of one task that were made alike."""

    task: str
    variant: str
    results: tuple[Result, ...]


def build_table(results: Sequence[Result], *, allow_mixed: bool = False) -> Table:
    """The table over `results`, which hold one record for each cell (see `selection.select`).

    ValueError if results of one task differ in prompt, settings, data or scoring, naming the fields;
    with `allow_mixed` they get columns of their own and a note.
    """
    tasks = _tasks(results)
    refusals = [_refusal(groups) for groups in tasks if len(groups) > 1]
    if refusals and not allow_mixed:
        raise ValueError(
            "\n  ".join(["these records cannot share a column:", *refusals])
            + "\nrun or score them alike, choose others with --tasks or by folder, "
            "or let --allow-mixed give them columns of their own"
        )
    notes = [f"Not comparable: {refusal}." for refusal in refusals]
    columns: list[Column] = []
    cells: dict[_RowKey, list[Cell | None]] = {_row(result): [] for result in results}
    for group in (group for groups in tasks for group in groups):
        for column in _columns(group):
            columns.append(column)
            here = {_row(result): _cell(result, column.metric, notes) for result in group.results}
            for key, row in cells.items():
                row.append(here.get(key))
    ordered = sorted(cells, key=lambda key: (row_order(key.model, key.audio), key))
    made: dict[_RowKey, list[Provenance]] = {key: [] for key in ordered}
    for result in results:
        made[_row(result)].append(result.provenance)
    rows = [
        Row(_label(key, ordered), key.model, key.audio, tuple(cells[key]), cost_of(made[key]))
        for key in ordered
    ]
    shown = with_means(rows, columns, [made[key] for key in ordered], notes)
    if any(cell.value.worst is not None for row in rows for cell in row.cells if cell):
        notes.append(BOUNDS)
    return Table(tuple(columns), tuple(shown), (*notes, *chance_note(results), *interval_notes(results)))


def _row(result: Result) -> _RowKey:
    made = result.provenance
    arguments = ", ".join(f"{name}={value}" for name, value in sorted(made.model_args.items()))
    weights = result.fingerprints.model
    return _RowKey(result.model, result.audio, made.backbone, arguments, weights, made.dtype)


def _label(key: _RowKey, rows: Sequence[_RowKey]) -> str:
    """What differs is said in the user's words; the hash of the weights where these do not tell rows apart."""
    same = [row for row in rows if row.name == key.name]
    apart = []
    if len({row.backbone for row in same}) > 1:
        apart.append(f"backbone {key.backbone}")
    if len({row.arguments for row in same}) > 1:
        apart.append(key.arguments or "no model arguments")
    if len({row.weights for row in same if row[2:4] == key[2:4]}) > 1:
        apart.append(f"weights {key.weights[:8]}")
    if len({row.dtype for row in same}) > 1:
        apart.append(key.dtype)
    return f"{key.name} ({', '.join(apart)})" if apart else key.name


def _tasks(results: Sequence[Result]) -> list[list[_Group]]:
    """For each task, by family and name, its results in groups that were made alike, the largest first."""
    tasks: dict[tuple[int, str], dict[tuple[str, ...], list[Result]]] = {}
    for result in results:
        order = FAMILIES.index(result.family) if result.family in FAMILIES else len(FAMILIES)
        tasks.setdefault((order, result.task), {}).setdefault(made_like(result), []).append(result)
    return [_ranked(task, alike) for (_, task), alike in sorted(tasks.items(), key=lambda item: item[0])]


def _ranked(task: str, alike: Mapping[tuple[str, ...], list[Result]]) -> list[_Group]:
    def order(fingerprints: tuple[str, ...]) -> tuple[Any, ...]:
        return -len(alike[fingerprints]), [_row(result) for result in alike[fingerprints]], fingerprints

    groups = [tuple(alike[fingerprints]) for fingerprints in sorted(alike, key=order)]
    variants = [_letters(place) for place in range(len(groups))] if len(groups) > 1 else [""]
    return [_Group(task, variant, same) for variant, same in zip(variants, groups, strict=True)]


def _letters(place: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    above = _letters(place // 26 - 1) if place >= 26 else ""
    return above + ascii_lowercase[place % 26]


def _refusal(groups: list[_Group]) -> str:
    fields = ", ".join(differing([made_like(group.results[0]) for group in groups]))
    sides = [f"{group.variant}: {', '.join(_row(one).name for one in group.results)}" for group in groups]
    return f"{groups[0].task} differs in {fields} ({'; '.join(sides)})"


def _columns(group: _Group) -> list[Column]:
    """The metrics in the order in which the task lists them; records hold them by name."""
    metrics: dict[str, MetricValue] = {}
    for result in group.results:
        metrics.update(result.metrics)
    first = group.results[0]
    listed = [entry.get("metric") for entry in first.scoring.get("metrics", ())]

    def order(key: str) -> tuple[int, str]:
        name = key.partition(",")[0]
        return (listed.index(name) if name in listed else len(listed)), key

    return [
        Column(
            group.task, key, metrics[key].higher_is_better, first.n, group.variant, first.family, first.side
        )
        for key in sorted(metrics, key=order)
    ]


def _cell(result: Result, metric: str, notes: list[str]) -> Cell | None:
    """The cell, after adding to `notes` what it has to say that no other cell has said."""
    value = result.metrics.get(metric)
    if value is None:
        return None
    texts = failures_note(result.counts)
    if result.partial:
        texts.append(f"Partial run: {result.n} samples.")
    texts += value_notes([value])
    return Cell(value, numbered(texts, notes), result.counts)

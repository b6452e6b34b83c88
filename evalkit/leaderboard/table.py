"""The neutral table: rows are models, columns are tasks and metrics. Renderers turn it into bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any, NamedTuple

from evalkit.leaderboard.selection import differing, made_like, row_order
from evalkit.leaderboard.values import failures_text, metric_label
from evalkit.results.record import MetricValue, Provenance, Result

FAMILIES = ("asr", "captioning", "music_qa", "emotion", "speaker")


@dataclass(frozen=True, slots=True)
class Column:
    """One metric of one task, made in one way. `variant` tells ways apart (`a`, `b`) where they are mixed."""

    task: str
    metric: str
    higher_is_better: bool
    n: int
    variant: str = ""
    family: str = ""
    side: str = ""

    @property
    def label(self) -> str:
        return metric_label(self.metric, self.higher_is_better)

    @property
    def heading(self) -> str:
        return f"{self.task} ({self.variant})" if self.variant else self.task


@dataclass(frozen=True, slots=True)
class Cell:
    """A value and the numbers of the table's notes that belong to it, from 1."""

    value: MetricValue
    notes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What a row took: the model's size (0: not known), and the time of all its runs with their audio."""

    parameters: int
    active_parameters: int
    wall_seconds: float
    audio_seconds: float
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One model with one audio setting; `cells` in the order of the columns, None where nothing was run.

    label: the model's name and what tells its rows apart: the audio setting where it is not real, and
    weights and dtype where its records were made with more than one of them.
    """

    label: str
    model: str
    audio: str
    cells: tuple[Cell | None, ...]
    cost: Cost


@dataclass(frozen=True, slots=True)
class Table:
    """`notes` are numbered from 1; a cell names the ones that belong to it, the rest are about columns."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


class _RowKey(NamedTuple):
    """What makes a row: cells of one row must come from the same weights in the same number format."""

    model: str
    audio: str
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
    costs = _costs(results)
    rows = [Row(_label(key, ordered), key.model, key.audio, tuple(cells[key]), costs[key]) for key in ordered]
    return Table(tuple(columns), tuple(rows), (*notes, *_interval_notes(results)))


def _row(result: Result) -> _RowKey:
    return _RowKey(result.model, result.audio, result.fingerprints.model, result.provenance.dtype)


def _costs(results: Sequence[Result]) -> dict[_RowKey, Cost]:
    made: dict[_RowKey, list[Provenance]] = {}
    for result in results:
        made.setdefault(_row(result), []).append(result.provenance)
    return {key: _cost(runs) for key, runs in made.items()}


def _cost(runs: Sequence[Provenance]) -> Cost:
    return Cost(
        max(run.parameters for run in runs),
        max(run.active_parameters for run in runs),
        sum(run.wall_seconds for run in runs),
        sum(run.audio_seconds for run in runs),
        tuple(sorted({run.device_name or run.device for run in runs} - {""})),
    )


def _label(key: _RowKey, rows: Sequence[_RowKey]) -> str:
    same = [row for row in rows if row.name == key.name]
    apart = []
    if len({row.weights for row in same}) > 1:
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
    texts = []
    failures = failures_text(result.counts)
    if failures:
        total = sum(result.counts.values())
        texts.append(f"Of {total} answers: {failures}. A sample without an answer counts as wrong.")
    if result.partial:
        texts.append(f"Partial run: {result.n} samples.")
    if value.note:
        texts.append(value.note[0].upper() + value.note[1:].rstrip(".") + ".")
    notes.extend(text for text in texts if text not in notes)
    return Cell(value, tuple(sorted(notes.index(text) + 1 for text in texts)))


def _interval_notes(results: Sequence[Result]) -> list[str]:
    """How the intervals were made, each way once with its tasks and their metrics."""
    ways: dict[str, dict[str, set[str]]] = {}
    for result in results:
        for key, value in result.metrics.items():
            over = f" over {value.clusters} clusters" if value.clusters else ""
            if value.method:
                tasks = ways.setdefault(value.method + over, {})
                tasks.setdefault(result.task, set()).add(key.partition(",")[0])
    return [
        f"Intervals by {way}: "
        + ", ".join(f"{task} ({', '.join(sorted(metrics))})" for task, metrics in sorted(tasks.items()))
        + "."
        for way, tasks in sorted(ways.items())
    ]

"""Where a run goes wrong: by slice, by class and by status."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.leaderboard.slices import DURATION, LABEL, slices
from evalkit.leaderboard.values import interval_text, value_text
from evalkit.metrics.labels import LabelSet, label_set
from evalkit.results import MetricValue, Prediction
from evalkit.scoring import Measured
from evalkit.scoring.score import value_of
from evalkit.tasks.schema import STATUSES

MOST_LABELS = 40
SHADES = 10


@dataclass(frozen=True, slots=True)
class Slice:
    """Part of the samples; low, high and at in percent of the width of the drawing, None without a value."""

    value: str
    n: int
    text: str
    interval: str
    note: str
    low: float | None = None
    high: float | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Slicing:
    """All slices by one field; `overall` is where the value of the whole run lies."""

    by: str
    slices: tuple[Slice, ...]
    overall: float


@dataclass(frozen=True, slots=True)
class ConfusionCell:
    count: int
    shade: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """Rows are classes of the references, columns those of the answers and, last, no class at all."""

    labels: tuple[str, ...]
    rows: tuple[tuple[ConfusionCell, ...], ...]
    totals: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StatusCount:
    """reasons: the errors that were told, the most frequent first, with how often and one sample's id."""

    status: str
    count: int
    percent: float
    reasons: tuple[tuple[str, int, str], ...]


def slicings(
    key: str, predictions: Sequence[Prediction], measured: Measured, fields: Sequence[str], *, seed: int
) -> list[Slicing]:
    """The metric on the slices by `fields`, by label where there are classes, and by duration."""
    entries = [prediction.entry for prediction in predictions]
    by = [*fields, *([LABEL] if all(entry.choices for entry in entries) else []), DURATION]
    found = []
    for name in dict.fromkeys(by):
        try:
            places = slices(entries, name)
        except ValueError:
            continue
        if len(places) > 1:
            values = {value: (len(part), _value(measured, part, seed)) for value, part in places.items()}
            found.append(_slicing(key, name, values, _whole(measured)))
    return found


def _value(measured: Measured, places: Sequence[int], seed: int) -> MetricValue | str:
    """The value with its interval on some of the samples, or why there is none."""
    clusters = measured.clusters
    part = replace(
        measured,
        statistics=measured.statistics[list(places)],
        clusters=None if clusters is None else tuple(clusters[place] for place in places),
    )
    try:
        return value_of(part, seed=seed)
    except ValueError as error:
        return str(error)


def _whole(measured: Measured) -> float:
    weights = np.ones((1, len(measured.statistics)))
    return float(measured.scorer.reduce(measured.statistics, weights)[0])


def _slicing(key: str, by: str, values: dict[str, tuple[int, MetricValue | str]], overall: float) -> Slicing:
    known = [value for _, value in values.values() if isinstance(value, MetricValue)]
    ends = [overall, *(end for one in known for end in (one.value, one.low, one.high) if end is not None)]
    low, width = min(ends), (max(ends) - min(ends)) or 1.0

    def at(end: float) -> float:
        return round(2 + 96 * (end - low) / width, 1)

    def shown(name: str, n: int, value: MetricValue | str) -> Slice:
        if isinstance(value, str):
            return Slice(name, n, value_text(key, None), "", value)
        texts = value_text(key, value.value), interval_text(key, value), value.note
        if value.low is None or value.high is None:
            return Slice(name, n, *texts, at=at(value.value))
        return Slice(name, n, *texts, at(value.low), at(value.high), at(value.value))

    return Slicing(by, tuple(shown(name, n, value) for name, (n, value) in values.items()), at(overall))


def confusion(predictions: Sequence[Prediction], normalizer: str) -> Confusion | None:
    """The confusion of a task whose samples all have the same choices; None for another kind of task."""
    references = [prediction.entry.references for prediction in predictions]
    choices = {tuple(sorted(prediction.entry.choices)) for prediction in predictions}
    if len(choices) != 1 or not 2 <= len(next(iter(choices))) <= MOST_LABELS:
        return None
    try:
        labels = label_set(references, next(iter(choices)), normalizer)
        cells = labels.cells(references, [prediction.answer for prediction in predictions])
    except ValueError:
        return None
    counts = Counter((int(row), int(column)) for row, column in cells)
    return _confusion(labels, counts)


def _confusion(labels: LabelSet, counts: Counter[tuple[int, int]]) -> Confusion:
    size = len(labels.labels)
    totals = [sum(counts[row, column] for column in range(size + 1)) for row in range(size)]
    rows = [
        tuple(
            ConfusionCell(counts[row, column], math.ceil(SHADES * counts[row, column] / max(totals[row], 1)))
            for column in range(size + 1)
        )
        for row in range(size)
    ]
    return Confusion(labels.labels, tuple(rows), tuple(totals))


def status_counts(predictions: Sequence[Prediction]) -> list[StatusCount]:
    """Every status, those that did not occur too."""
    by_status: dict[str, list[Prediction]] = {status: [] for status in STATUSES}
    for prediction in predictions:
        by_status[prediction.status].append(prediction)
    return [
        StatusCount(status, len(found), 100 * len(found) / len(predictions), _reasons(found))
        for status, found in by_status.items()
    ]


def _reasons(predictions: Sequence[Prediction]) -> tuple[tuple[str, int, str], ...]:
    told: dict[str, list[str]] = {}
    for prediction in predictions:
        if prediction.entry.response.error:
            told.setdefault(prediction.entry.response.error[:400], []).append(prediction.entry.id)
    ranked = sorted(told.items(), key=lambda item: -len(item[1]))
    return tuple((reason, len(ids), ids[0]) for reason, ids in ranked[:10])

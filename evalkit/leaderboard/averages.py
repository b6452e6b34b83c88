"""Semantic and paralinguistic averages of a table's rows: macro over families, 0 (worst) to 100 (best).

Each task counts with the first metric it lists that has a best and a worst value: accuracies, F1, recall
and ROUGE-L as they are, error rates as 1 - min(rate, 1), BLEU as a hundredth. A family is the mean of its
tasks, a side the mean of its families. A task counts if at least half of the rows with real audio were run
on it, so that one task more for one model takes nobody's average away; a row has an average only if it has a
value for every task that counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.leaderboard.seeds import arm_and_seed
from evalkit.leaderboard.table import Cell, Column, Row, Table
from evalkit.leaderboard.values import metric_name
from evalkit.stats.seeds import mean_end, over_seeds_and_samples

SIDES = ("semantic", "paralinguistic")

_ERROR_RATES = frozenset({"wer", "cer", "eer"})
_SCALE: Mapping[str, float] = {
    **dict.fromkeys(("accuracy", "exact_match", "macro_f1", "uar", "rouge_l"), 1.0),
    "bleu": 0.01,
}
_NEVER_NEGATIVE = _ERROR_RATES | {"cider"}


@dataclass(frozen=True, slots=True)
class Score:
    """An average of a row with its interval; `missing` names the tasks for want of which there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Average:
    """One side: a score for every row, and a sentence that says what was averaged."""

    side: str
    scores: tuple[Score, ...]
    statement: str


@dataclass(frozen=True, slots=True)
class _Part:
    """A column that counts, with its weight in the average; weights sum to 1."""

    place: int
    column: Column
    weight: float


def averages(table: Table) -> tuple[Average, ...]:
    """The averages of the sides that occur in the table.

    Intervals put those of the tasks together as variances are added, below and above the value for itself,
    tasks taken as independent (MOVER: Zou, Huang and Zhang, Comput. Stat. Data Anal. 53, 2009).
    """
    return tuple(average for side in SIDES if (average := _average(table, side)) is not None)


def quality(metric: str, value: float) -> float | None:
    """`value` of the metric key (`wer,none`) from 0, worst, to 1, best; None for an open-ended metric."""
    name = metric.partition(",")[0]
    if name in _ERROR_RATES:
        return 1.0 - min(value, 1.0)
    return value * _SCALE[name] if name in _SCALE else None


def limits(metric: str) -> tuple[float, float]:
    """The least and the greatest value of the metric key that there can be."""
    name = metric.partition(",")[0]
    if name in _SCALE:
        return 0.0, 1.0 / _SCALE[name]
    return (0.0 if name in _NEVER_NEGATIVE else -math.inf), math.inf


def _average(table: Table, side: str) -> Average | None:
    here = [(place, column) for place, column in enumerate(table.columns) if column.side == side]
    common = [(place, column) for place, column in here if _is_common(table, place)]
    parts = _parts(common)
    if not parts:
        return None
    counted = {part.column.heading for part in parts}
    rare = {column.heading for _, column in here} - {column.heading for _, column in common}
    reasons = {
        "made differently, or no metric with a best value": sorted(
            {column.heading for _, column in common} - counted
        ),
        "run for fewer than half of the rows": sorted(rare),
    }
    scores = tuple(_row_score(row, table, parts) for row in table.rows)
    statement = _statement(side, parts, reasons)
    if any(row.seeds for row in table.rows):
        statement += (
            " A mean over seeds: of the seeds' averages, its interval over seeds and samples together."
        )
    return Average(side, scores, statement)


def _is_common(table: Table, place: int) -> bool:
    """Whether at least half of the rows with real audio have a value; in mixed columns nobody is asked."""
    if table.columns[place].variant:
        return True
    heard = [row for row in table.rows if row.audio == "real"] or list(table.rows)
    return 2 * sum(row.cells[place] is not None for row in heard) >= len(heard)


def _parts(columns: Sequence[tuple[int, Column]]) -> list[_Part]:
    """The first column on a known scale of every task that is in the table in one way only."""
    families: dict[str, dict[str, tuple[int, Column]]] = {}
    for place, column in columns:
        if not column.variant and quality(column.metric, 0.0) is not None:
            families.setdefault(column.family, {}).setdefault(column.task, (place, column))
    return [
        _Part(place, column, 1 / len(families) / len(tasks))
        for tasks in families.values()
        for place, column in tasks.values()
    ]


def _row_score(row: Row, table: Table, parts: Sequence[_Part]) -> Score:
    if not row.seeds:
        return _score(row, parts)
    members = [one for one in table.rows if one.one_of_many and one.audio == row.audio]
    return _mean_score([_score(one, parts) for one in members if arm_and_seed(one.model)[0] == row.model])


def _mean_score(scores: Sequence[Score]) -> Score:
    """One trained model links all tasks of a seed, so seeds are averaged first and spread as a whole."""
    missing = tuple(dict.fromkeys(task for score in scores for task in score.missing))
    values = [score.value for score in scores if score.value is not None]
    if missing or len(values) < len(scores):
        return Score(None, missing=missing)
    centre = sum(values) / len(values)
    low, high = mean_end([score.low for score in scores]), mean_end([score.high for score in scores])
    bounds = over_seeds_and_samples(values, low, high)
    if low is None or bounds.low is None or bounds.high is None:
        return Score(centre)
    return Score(centre, max(bounds.low, 0.0), min(bounds.high, 100.0))


def _score(row: Row, parts: Sequence[_Part]) -> Score:
    value = below = above = 0.0
    bounded = True
    missing = []
    for part in parts:
        known = _qualities(part.column.metric, row.cells[part.place])
        if known is None:
            missing.append(part.column.task)
            continue
        middle, ends = known
        value += part.weight * middle
        bounded = bounded and bool(ends)
        if ends:
            below += (part.weight * max(middle - min(ends), 0.0)) ** 2
            above += (part.weight * max(max(ends) - middle, 0.0)) ** 2
    if missing:
        return Score(None, missing=tuple(missing))
    if not bounded:
        return Score(100 * value)
    return Score(100 * value, 100 * (value - math.sqrt(below)), 100 * (value + math.sqrt(above)))


def _qualities(metric: str, cell: Cell | None) -> tuple[float, tuple[float, ...]] | None:
    """The value and the ends of its interval (none if it has no interval) as qualities."""
    if cell is None:
        return None
    value = cell.value
    middle = quality(metric, value.value)
    if middle is None or not math.isfinite(middle):
        return None
    bounds = [quality(metric, bound) for bound in (value.low, value.high) if bound is not None]
    ends = tuple(bound for bound in bounds if bound is not None)
    return middle, ends if len(ends) == 2 else ()


def _statement(side: str, parts: Sequence[_Part], left_out: Mapping[str, Sequence[str]]) -> str:
    families: dict[str, list[str]] = {}
    for part in parts:
        name = metric_name(part.column.metric)
        rate = part.column.metric.partition(",")[0] in _ERROR_RATES
        families.setdefault(part.column.family or "no family", []).append(
            f"{part.column.task} by {f'1 − {name}' if rate else name}"
        )
    listed = "; ".join(f"{family} ({', '.join(tasks)})" for family, tasks in families.items())
    text = f"{side.capitalize()} average: mean over families of the mean of their tasks, 0 to 100: {listed}."
    told = [f"{', '.join(names)} ({why})" for why, names in left_out.items() if names]
    return text + (f" Left out: {'; '.join(told)}." if told else "")

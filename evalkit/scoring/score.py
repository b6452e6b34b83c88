"""Journal entries in, metric values with intervals out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit import metrics
from evalkit.metrics import ReadsPredictions
from evalkit.results.record import JournalEntry, MetricValue, Prediction
from evalkit.scoring.bounds import with_bounds
from evalkit.scoring.extraction import extract
from evalkit.scoring.filters import first_repeat_only
from evalkit.scoring.measured import Measured
from evalkit.scoring.spec import ScoringSpec
from evalkit.stats import Interval, Proportion, interval, wilson
from evalkit.tasks.schema import STATUSES, FilterSpec, MetricSpec, Status

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Scored:
    """What scoring adds to a result. Keys of `metrics` read `wer,none`: metric, filter chain.

    counts and predictions are those of the first chain; every status is counted, those at 0 too.
    """

    metrics: Mapping[str, MetricValue]
    counts: Mapping[Status, int]
    predictions: tuple[Prediction, ...]


def score(entries: Sequence[JournalEntry], spec: ScoringSpec, *, seed: int) -> Scored:
    """Score a journal. Every entry counts: one without an answer is wrong, never left out.

    Raises ValueError for no entries, for a repeated (id, repeat) and for a spec that cannot be honoured.
    """
    spec.check()
    _check_entries(entries)
    values: dict[str, MetricValue] = {}
    by_chain = [predict(entries, spec, chain) for chain in spec.filters]
    for chain, predictions in zip(spec.filters, by_chain, strict=True):
        for metric in spec.metrics:
            measured = measure(predictions, metric)
            value = value_of(measured, seed=seed)
            values[f"{metric.metric},{chain.name}"] = with_bounds(value, measured, predictions)
    counted = Counter(prediction.status for prediction in by_chain[0])
    return Scored(values, {status: counted[status] for status in STATUSES}, by_chain[0])


def predict(entries: Sequence[JournalEntry], spec: ScoringSpec, chain: FilterSpec) -> tuple[Prediction, ...]:
    """The predictions of one filter chain, in the order of the entries."""
    first_only = first_repeat_only(chain)
    return tuple(extract(entry, spec, chain) for entry in entries if entry.repeat == 0 or not first_only)


def measure(predictions: Sequence[Prediction], spec: MetricSpec) -> Measured:
    """The statistics of one metric over predictions."""
    metric = metrics.get(spec.metric, spec.options)
    references = [prediction.entry.references for prediction in predictions]
    read = metric.answer if isinstance(metric, ReadsPredictions) else _answer
    answers = [read(prediction) for prediction in predictions]
    scorer = metric.fit(references)
    return Measured(metric, scorer, scorer.statistics(references, answers), clusters_of(predictions))


def clusters_of(predictions: Sequence[Prediction]) -> tuple[str, ...] | None:
    """What is resampled together: the named cluster, else the repeats of a sample; None for neither."""
    entries = [prediction.entry for prediction in predictions]
    if not any(entry.cluster for entry in entries) and len({entry.id for entry in entries}) == len(entries):
        return None
    return tuple(f"cluster {entry.cluster}" if entry.cluster else f"sample {entry.id}" for entry in entries)


def value_of(measured: Measured, *, seed: int) -> MetricValue:
    """The corpus value with its interval: Wilson for a plain proportion of single samples, else bootstrap."""
    scorer, statistics = measured.scorer, measured.statistics
    value = float(scorer.reduce(statistics, np.ones((1, len(statistics))))[0])
    if not math.isfinite(value):
        raise ValueError(f"metric {measured.metric.name} has no value on these {len(statistics)} samples")
    bounds = _interval(measured, seed)
    return MetricValue(
        value=value,
        low=bounds.low,
        high=bounds.high,
        level=LEVEL,
        method=bounds.method,
        clusters=bounds.clusters,
        higher_is_better=measured.metric.higher_is_better,
        note=bounds.note,
    )


def _answer(prediction: Prediction) -> str | None:
    return prediction.answer


def _interval(measured: Measured, seed: int) -> Interval:
    scorer, statistics = measured.scorer, measured.statistics
    if measured.clusters is None and isinstance(scorer, Proportion):
        return wilson(float(scorer.successes(statistics).sum()), len(statistics), level=LEVEL)
    return interval(scorer, statistics, measured.clusters, level=LEVEL, seed=seed)


def _check_entries(entries: Sequence[JournalEntry]) -> None:
    if not entries:
        raise ValueError("there is nothing to score: no journal entries")
    counted = Counter((entry.id, entry.repeat) for entry in entries)
    twice = [key for key, count in counted.items() if count > 1]
    if twice:
        raise ValueError(f"sample {twice[0][0]!r} (repeat {twice[0][1]}) stands in the journal twice")

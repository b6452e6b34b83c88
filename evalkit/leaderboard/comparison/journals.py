"""Two arms' journals of one task, sample by sample: every metric, and its first one by slices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.leaderboard.comparison.difference import Difference, paired_difference, value_of_all
from evalkit.leaderboard.comparison.mismatch import unpaired
from evalkit.leaderboard.comparison.types import SliceDifference
from evalkit.leaderboard.slices import slices
from evalkit.results import JournalEntry
from evalkit.scoring import Measured, ScoringSpec, measure
from evalkit.scoring.score import predict


def compare_journals(
    first: Sequence[Sequence[JournalEntry]],
    second: Sequence[Sequence[JournalEntry]],
    spec: ScoringSpec,
    *,
    seeds: Sequence[int] = (0,),
    by: Sequence[str] = (),
    seed: int = 0,
) -> tuple[tuple[Difference, ...], tuple[SliceDifference, ...]]:
    """Every metric of `spec` on two arms' journals, one for each training seed, and the first one by slices.

    ValueError for journals that cannot be paired, naming the first sample.
    """
    ones, others = ([_measured(_like(first[0], one), spec) for one in arm] for arm in (first, second))
    keys = list(ones[0].metrics)
    differences = tuple(
        paired_difference(
            key, [one.metrics[key] for one in ones], [one.metrics[key] for one in others], seeds, seed=seed
        )
        for key in keys
    )
    return differences, tuple(part for name in by for part in _by(name, keys[0], ones, others, seeds, seed))


@dataclass(frozen=True, slots=True)
class _Journal:
    """A journal's entries and what every metric measured on them, by key."""

    entries: tuple[JournalEntry, ...]
    metrics: Mapping[str, Measured]


def _measured(entries: Sequence[JournalEntry], spec: ScoringSpec) -> _Journal:
    metrics: dict[str, Measured] = {}
    kept: tuple[JournalEntry, ...] = ()
    for chain in spec.filters:
        predictions = predict(entries, spec, chain)
        kept = kept or tuple(prediction.entry for prediction in predictions)
        for metric in spec.metrics:
            metrics[f"{metric.metric},{chain.name}"] = measure(predictions, metric)
    return _Journal(kept, metrics)


def _by(
    name: str, key: str, ones: Sequence[_Journal], others: Sequence[_Journal], seeds: Sequence[int], seed: int
) -> Iterator[SliceDifference]:
    """The slices on which the metric has a value: recall needs its class, an error rate its words."""
    for value, places in slices(ones[0].entries, name).items():
        one, other = ([_part(arm.metrics[key], places) for arm in arms] for arms in (ones, others))
        if all(math.isfinite(value_of_all(arm.scorer, arm.statistics)) for arm in (*one, *other)):
            yield SliceDifference(
                name, value, len(places), paired_difference(key, one, other, seeds, seed=seed)
            )


def _part(measured: Measured, places: Sequence[int]) -> Measured:
    clusters = measured.clusters
    return replace(
        measured,
        statistics=measured.statistics[list(places)],
        clusters=None if clusters is None else tuple(clusters[place] for place in places),
    )


def _like(reference: Sequence[JournalEntry], entries: Sequence[JournalEntry]) -> list[JournalEntry]:
    """The entries in the order of the reference's."""
    problems = unpaired(reference, entries)
    if problems:
        raise ValueError(f"samples cannot be paired: {'; '.join(problems)}")
    found = {(entry.id, entry.repeat): entry for entry in entries}
    return [found[entry.id, entry.repeat] for entry in reference]

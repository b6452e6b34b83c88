"""Other normalisers, extractors and metrics on stored answers, without a model; and where they change ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from evalkit import metrics
from evalkit.leaderboard.rebuild import scored_record
from evalkit.leaderboard.stored import StoredRun, described, listed_metrics
from evalkit.results import PUBLISHED_JOURNAL_NAME, Result, find_journal, hold, write_result
from evalkit.scoring import ScoringSpec
from evalkit.tasks.schema import FilterSpec, MetricSpec

STORED = "as recorded"
ANEW = "scored anew"


@dataclass(frozen=True, slots=True)
class Changes:
    """What to score by instead of what is recorded; empty fields leave it.

    normalizers: each is a variant of its own, for the metrics that take one; metrics: in place of the
    recorded ones; regex: the answer is its first match (its first group, if it has one); spec: everything.
    """

    normalizers: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    regex: str = ""
    spec: ScoringSpec | None = None


@dataclass(frozen=True, slots=True)
class Rescored:
    """One run scored in several ways, by the name of the way; the first is the record as it is."""

    run: StoredRun
    ways: Mapping[str, Result]


@dataclass(frozen=True, slots=True)
class Flip:
    """Two models that change places: `better` by `one`, (way, metric), `worse` by `other`."""

    task: str
    better: str
    worse: str
    one: tuple[str, str]
    other: tuple[str, str]


def rescore(run: StoredRun, changes: Changes) -> Rescored:
    """Score the run's journal in all the ways that `changes` asks for. Nothing is written.

    Raises ValueError for metrics, normalisers or patterns that do not exist or do not fit the answers.
    """
    recorded = ScoringSpec.from_dict(run.result.scoring)
    ways = _ways(recorded, changes)
    record, entries = run.record(), run.entries()
    anew = {name: scored_record(record, entries, spec) for name, spec in ways.items()}
    return Rescored(run, {STORED: run.result, **anew})


def overwrite(rescored: Rescored) -> None:
    """Put the one way that was asked for in the place of the record.

    ValueError for several ways, and for a published run, whose source is to be rescored and published anew.
    """
    names = [name for name in rescored.ways if name != STORED]
    if len(names) != 1:
        raise ValueError(f"only one way of scoring can be written, not {len(names)}: {', '.join(names)}")
    folder = rescored.run.folder
    if find_journal(folder).name == PUBLISHED_JOURNAL_NAME:
        raise ValueError(f"{folder} is published; rescore the run it was made from and publish that")
    with hold(folder):
        write_result(folder, rescored.ways[names[0]])


def flips(rescored: Sequence[Rescored]) -> list[Flip]:
    """Where two models on the same prompt, settings and data rank one way by the record and another way anew.

    A metric is held against its recorded value, or against the first metric of the record if it is new.
    Equal values are no rank. Records of one task must have been scored alike for this; others are skipped.
    """
    found = []
    for one, other in combinations(rescored, 2):
        if _alike(one.run.result, other.run.result):
            found += _pair_flips(one, other)
    return found


def _ways(recorded: ScoringSpec, changes: Changes) -> dict[str, ScoringSpec]:
    base = changes.spec or recorded
    if changes.metrics:
        base = replace(base, metrics=tuple(MetricSpec(name) for name in changes.metrics))
    if changes.regex:
        step = ("regex", {"regex_pattern": changes.regex})
        base = replace(base, filters=(FilterSpec("regex", (step,)),))
    if not changes.normalizers:
        base.check()
        return {ANEW: base}
    ways = {}
    for name in changes.normalizers:
        spec = replace(base, metrics=tuple(_with_normalizer(metric, name) for metric in base.metrics))
        spec.check()
        ways[f"normalizer {name}"] = spec
    return ways


def _with_normalizer(metric: MetricSpec, name: str) -> MetricSpec:
    if "normalizer" not in metrics.get(metric.metric, metric.options).settings:
        return metric
    return replace(metric, options={**metric.options, "normalizer": name})


def _alike(one: Result, other: Result) -> bool:
    fields = ("prompt", "settings", "data", "scoring")
    return one.task == other.task and all(
        getattr(one.fingerprints, field) == getattr(other.fingerprints, field) for field in fields
    )


def _pair_flips(one: Rescored, other: Rescored) -> list[Flip]:
    names = [
        described(one.run.result, one.run.result.model),
        described(other.run.result, other.run.result.model),
    ]
    primary = listed_metrics(one.run.result)[0][0]
    found = []
    for way in one.ways:
        for key in one.ways[way].metrics if way != STORED else ():
            before = key if key in one.run.result.metrics else primary
            was = _ahead(one.run.result, other.run.result, before)
            now = _ahead(one.ways[way], other.ways[way], key)
            if was * now < 0:
                better, worse = names if was > 0 else names[::-1]
                found.append(Flip(one.run.result.task, better, worse, (STORED, before), (way, key)))
    return found


def _ahead(one: Result, other: Result, key: str) -> int:
    """1 if the first is better, -1 if the second is, 0 for equal values."""
    first, second = one.metrics[key], other.metrics[key]
    sign = (first.value > second.value) - (first.value < second.value)
    return sign if first.higher_is_better else -sign

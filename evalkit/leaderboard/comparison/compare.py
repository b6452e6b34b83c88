"""Every arm against the first, task by task."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from evalkit.leaderboard.comparison.gains import average_gains
from evalkit.leaderboard.comparison.journals import compare_journals
from evalkit.leaderboard.comparison.mismatch import mismatch
from evalkit.leaderboard.comparison.types import Comparison, PairComparison, TaskComparison
from evalkit.leaderboard.cost import Cost, cost_of
from evalkit.leaderboard.slices import known_slices
from evalkit.leaderboard.stored import Arm, StoredRun
from evalkit.leaderboard.table import FAMILIES
from evalkit.scoring import ScoringSpec
from evalkit.stats import holm


def compare(arms: Sequence[Arm], *, by: Sequence[str] = (), seed: int = 0) -> Comparison:
    """Compare every arm with the first one on the tasks that both have.

    Training seeds are paired by number. Raises ValueError for fewer than two arms, no common task, runs that
    differ in prompt, settings, data or scoring (naming the fields), journals whose samples cannot be paired,
    and slices that no task has.
    """
    if len(arms) < 2:
        raise ValueError("comparing takes at least two models or run folders")
    pairs = [_pair(arms[0], other, by, seed) for other in arms[1:]]
    _check_slices(by, pairs, arms)
    corrected = iter(holm([task.tested.p for pair in pairs for task in pair.tasks]))
    tests = sum(len(pair.tasks) for pair in pairs)
    judged = tuple(_judged(pair, [next(corrected) for _ in pair.tasks], tests) for pair in pairs)
    return Comparison(judged, tests, {arm.name: _cost(arm) for arm in arms})


def _pair(first: Arm, second: Arm, by: Sequence[str], seed: int) -> PairComparison:
    common = [task for task in first.runs if task in second.runs]
    if not common:
        raise ValueError(
            f"{first.name} and {second.name} have no task in common: "
            f"{', '.join(first.runs)} against {', '.join(second.runs)}"
        )
    refusals = [text for task in common for text in _refusals(first.runs[task], second.runs[task])]
    if refusals:
        raise ValueError(
            "\n  ".join([f"{first.name} and {second.name} cannot be compared:", *dict.fromkeys(refusals)])
            + "\nrun them alike, or score them alike with `evalkit rescore`; --tasks leaves tasks out"
        )
    tasks = sorted(
        (_task(first.runs[task], second.runs[task], by, seed) for task in common), key=_family_order
    )
    only = [*_only(first, second, tasks), *_only(second, first, tasks)]
    return PairComparison(first.name, second.name, tuple(tasks), (), tuple(only))


def _only(arm: Arm, other: Arm, compared: Sequence[TaskComparison]) -> Iterator[str]:
    """The runs of `arm` that have no counterpart."""
    used = {task.task: task.seeds for task in compared}
    for task, seeds in arm.runs.items():
        left = [str(number) for number in seeds if number not in used.get(task, ())]
        if task not in other.runs:
            yield f"{task} ({arm.name})"
        elif left and len(seeds) > 1:
            yield f"{task}, seed {', '.join(left)} ({arm.name})"


def _refusals(first: Mapping[int, StoredRun], second: Mapping[int, StoredRun]) -> Iterator[str]:
    """Why the runs of one task cannot be compared."""
    [reference, *others] = [*first.values(), *second.values()]
    for other in others:
        fields = mismatch(reference, other)
        if fields:
            names = f"{reference.result.model} and {other.result.model}"
            yield f"{reference.result.task}: {names} differ in {', '.join(fields)}"


def _task(
    first: Mapping[int, StoredRun], second: Mapping[int, StoredRun], by: Sequence[str], seed: int
) -> TaskComparison:
    seeds, arms = _paired_seeds(first, second)
    about = arms[0][0].result
    spec = ScoringSpec.from_dict(about.scoring)
    ones, others = ([run.entries() for run in arm] for arm in arms)
    try:
        differences, parts = compare_journals(ones, others, spec, seeds=seeds, by=by, seed=seed)
    except ValueError as error:
        raise ValueError(f"{about.task}: {error}") from error
    for place, arm in enumerate(arms):
        _check_records(arm, {one.metric: (one.spread.first, one.spread.second)[place] for one in differences})
    return TaskComparison(
        about.task,
        about.family,
        about.side,
        about.n,
        seeds,
        differences,
        parts,
        (_counts(arms[0]), _counts(arms[1])),
    )


def _paired_seeds(
    first: Mapping[int, StoredRun], second: Mapping[int, StoredRun]
) -> tuple[tuple[int, ...], tuple[list[StoredRun], list[StoredRun]]]:
    """The training seeds that both arms have, with their runs. Two arms of one seed are paired whatever it is."""
    if len(first) == len(second) == 1:
        return tuple(first), (list(first.values()), list(second.values()))
    common = tuple(number for number in first if number in second)
    if not common:
        names = [", ".join(run.result.model for run in arm.values()) for arm in (first, second)]
        raise ValueError(f"no training seed in common: {names[0]} against {names[1]}")
    return common, ([first[number] for number in common], [second[number] for number in common])


def _check_records(runs: Sequence[StoredRun], values: Mapping[str, Sequence[float]]) -> None:
    """What is compared must be what the tables show."""
    for key, found in values.items():
        for run, value in zip(runs, found, strict=True):
            stored = run.result.metrics.get(key)
            if stored is None or not math.isclose(stored.value, value, rel_tol=1e-9, abs_tol=1e-12):
                raise ValueError(
                    f"{run.folder}: {key} is {stored.value if stored else 'missing'} in the record but {value} "
                    f"by its journal; `evalkit verify` tells more, `evalkit rescore --write` scores it anew"
                )


def _counts(runs: Sequence[StoredRun]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for run in runs:
        total.update(run.result.counts)
    return dict(total)


def _judged(pair: PairComparison, corrected: Sequence[float], tests: int) -> PairComparison:
    tasks = tuple(
        replace(
            task,
            corrected=p,
            tests=tests,
            detectable=task.tested.detectable(tests),
            holds=task.tested.holds(tests),
        )
        for task, p in zip(pair.tasks, corrected, strict=True)
    )
    return replace(pair, tasks=tasks, averages=tuple(average_gains(tasks)))


def _check_slices(by: Sequence[str], pairs: Sequence[PairComparison], arms: Sequence[Arm]) -> None:
    found = {part.by for pair in pairs for task in pair.tasks for part in task.slices}
    missing = [name for name in by if name not in found]
    if missing:
        runs = [next(iter(seeds.values())) for seeds in arms[0].runs.values()]
        known = sorted({name for run in runs for name in known_slices(run.entries())})
        raise ValueError(f"no task can be sliced by {', '.join(missing)}; known: {', '.join(known)}")


def _family_order(task: TaskComparison) -> tuple[int, str]:
    return (FAMILIES.index(task.family) if task.family in FAMILIES else len(FAMILIES)), task.task


def _cost(arm: Arm) -> Cost:
    return cost_of([run.result.provenance for seeds in arm.runs.values() for run in seeds.values()])

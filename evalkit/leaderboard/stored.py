"""Runs on disk, and the arms that are compared: a model by name with its training seeds, or a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.leaderboard.seeds import arm_and_seed
from evalkit.leaderboard.selection import select
from evalkit.results import (
    JournalEntry,
    MetricValue,
    Result,
    RunRecord,
    find_journal,
    find_results,
    in_order,
    read_journal,
    read_result,
    read_run,
)
from evalkit.text import unknown


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A result record and the folder it lies in, with its journal and `run.json`."""

    folder: Path
    result: Result

    def entries(self) -> tuple[JournalEntry, ...]:
        """The journal in data set order. Raises JournalError or FileNotFoundError."""
        return in_order(read_journal(find_journal(self.folder)))

    def record(self) -> RunRecord:
        return read_run(self.folder)


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of a comparison. runs: for every task its run for each training seed, by seed."""

    name: str
    runs: Mapping[str, Mapping[int, StoredRun]]


def listed_metrics(result: Result) -> list[tuple[str, MetricValue]]:
    """The metrics in the order in which the task lists them; records hold them by name."""
    listed = [metric["metric"] for metric in result.scoring.get("metrics", ())]

    def order(key: str) -> tuple[int, str]:
        name = key.partition(",")[0]
        return (listed.index(name) if name in listed else len(listed)), key

    return [(key, result.metrics[key]) for key in sorted(result.metrics, key=order)]


def find_runs(places: Sequence[Path]) -> list[StoredRun]:
    """Every run with a result under the folders. FileNotFoundError for a folder that is not there."""
    found = dict.fromkeys(path for place in places for path in find_results(place))
    return [StoredRun(path.parent, read_result(path)) for path in found]


def newest(runs: Sequence[StoredRun], *, tasks: Sequence[str] = (), partial: bool = False) -> list[StoredRun]:
    """The runs whose records `select` would put in a table: one for each model, audio setting and task."""
    chosen = {id(result) for result in select((run.result for run in runs), tasks=tasks, partial=partial)}
    return [run for run in runs if id(run.result) in chosen]


def find_arms(names: Sequence[str], places: Sequence[Path], *, tasks: Sequence[str] = ()) -> list[Arm]:
    """The arms that `names` mean.

    A name is a model whose complete runs with real audio lie under `places`; models called NAME-s1,
    NAME-s2, ... are further training seeds of it. Or it is a run folder, or one that holds runs of one
    arm, whatever their audio setting. ValueError for a name that is neither.
    """
    runs = find_runs([place for place in places if place.is_dir()])
    arms = [_arm(name, runs, tasks) for name in names]
    return [Arm(_label(arm, arms, name), arm.runs) for arm, name in zip(arms, names, strict=True)]


def runs_named(names: Sequence[str], places: Sequence[Path]) -> list[StoredRun]:
    """The newest complete runs of models by name, and every run under folders.

    ValueError for what is neither a model with runs under `places` nor a folder with results.
    """
    known = find_runs([place for place in places if place.is_dir()])
    found: dict[Path, StoredRun] = {}
    for name in names:
        runs = newest([run for run in known if run.result.model == name])
        if not runs:
            if not Path(name).exists():
                models = {run.result.model for run in known}
                raise ValueError(f"{unknown('model', name, models)}; nor is it a folder")
            runs = find_runs([Path(name)])
        if not runs:
            raise ValueError(f"no result.json under {name}; `evalkit run` and `evalkit publish` write them")
        found |= {run.folder: run for run in runs}
    return list(found.values())


def _arm(name: str, runs: Sequence[StoredRun], tasks: Sequence[str]) -> Arm:
    complete = [run for run in runs if run.result.audio == "real" and not run.result.partial]
    own = [run for run in complete if run.result.model == name or arm_and_seed(run.result.model)[0] == name]
    if own:
        return Arm(name, by_task(newest(own, tasks=tasks), name))
    place = Path(name)
    if not place.exists():
        known = {run.result.model for run in complete}
        raise ValueError(f"{unknown('model', name, known)}; nor is it a folder. {_only_partial(name, runs)}")
    own = newest(find_runs([place]), tasks=tasks, partial=True)
    arms = sorted({arm_and_seed(run.result.model)[0] for run in own})
    settings = sorted({run.result.audio for run in own})
    if len(arms) != 1 or len(settings) != 1:
        raise ValueError(
            f"{name}: expected runs of one model with one audio setting, found {arms} {settings}"
        )
    return Arm(described(own[0].result, arms[0]), by_task(own, arms[0]))


def by_task(runs: Sequence[StoredRun], name: str) -> dict[str, dict[int, StoredRun]]:
    """The runs of the arm `name`, by task and training seed. ValueError for two runs of one seed."""
    tasks: dict[str, dict[int, StoredRun]] = {}
    for run in runs:
        seed = 0 if run.result.model == name else arm_and_seed(run.result.model)[1]
        seeds = tasks.setdefault(run.result.task, {})
        if seed in seeds:
            twins = f"{seeds[seed].result.model} and {run.result.model}"
            raise ValueError(f"{twins} are both seed {seed} of {name}; rename one, or give run folders")
        seeds[seed] = run
    return {task: dict(sorted(seeds.items())) for task, seeds in sorted(tasks.items())}


def described(result: Result, arm: str) -> str:
    """The arm, or model, with the audio setting where it heard something else than its clips."""
    return arm if result.audio == "real" else f"{arm} (audio: {result.audio})"


def _label(arm: Arm, arms: Sequence[Arm], name: str) -> str:
    """The arm's name; what the user called it as well where two arms would have the same."""
    same = sum(other.name == arm.name for other in arms) > 1
    return f"{arm.name} ({name})" if same else arm.name


def _only_partial(name: str, runs: Sequence[StoredRun]) -> str:
    if any(run.result.model == name for run in runs):
        return "It has only runs with --limit or withheld audio: give their folders to compare those"
    return "Names are looked up under runs/ and results/; `evalkit run` writes there"

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import TinyModel
from toy_task import toy_task

from evalkit.results import read_journal, read_run
from evalkit.results.merge import merge_shards
from evalkit.runner import RunSettings, TaskRun, run_task
from evalkit.runner.shards import Shard, shard_of
from evalkit.tasks.schema import Task


def run(task: Task, output: Path, shard: Shard | None = None, model: TinyModel | None = None) -> TaskRun:
    where = shard.folder(output) if shard else output
    return run_task(model or TinyModel(), task, RunSettings(where, batch_size=3, shard=shard))


def test_shards_answer_every_sample_once_and_merge_to_the_run_of_one_process(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 20, repeats=2)
    models = [TinyModel() for _ in range(3)]
    parts = [run(task, tmp_path / "runs", Shard(rank, 3), model) for rank, model in enumerate(models)]
    assert sum(len(part.entries) for part in parts) == 40
    assert min(len(model.asked) for model in models) > 9
    ((folder, record, entries),) = merge_shards(tmp_path / "runs")
    alone = run(task, tmp_path / "alone")
    assert entries == alone.entries
    assert tuple(read_journal(folder / "samples.jsonl")) == alone.entries
    assert record.fingerprints == alone.run.fingerprints
    assert folder.relative_to(tmp_path / "runs") == alone.folder.relative_to(tmp_path / "alone")
    assert read_run(folder).provenance.wall_seconds == max(p.run.provenance.wall_seconds for p in parts)


def test_a_merged_run_is_finished(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 8)
    for rank in range(2):
        run(task, tmp_path / "runs", Shard(rank, 2))
    merge_shards(tmp_path / "runs")
    model = TinyModel()
    assert run(task, tmp_path / "runs", model=model).resumed == 8
    assert not model.asked


def test_merging_twice_is_merging_once(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 8)
    for rank in range(2):
        run(task, tmp_path / "runs", Shard(rank, 2))
    assert merge_shards(tmp_path / "runs") == merge_shards(tmp_path / "runs")


def test_a_shard_that_is_missing_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 8)
    run(task, tmp_path / "runs", Shard(0, 3))
    with pytest.raises(ValueError, match=r"tiny/toy@\w+: shard 1, 2 of 3 is missing"):
        merge_shards(tmp_path / "runs")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["shards"]


def test_an_unfinished_shard_is_not_merged(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 8)
    for rank in range(2):
        part = run(task, tmp_path / "runs", Shard(rank, 2))
    journal = part.folder / "samples.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:1]))
    with pytest.raises(ValueError, match=r"hold \d of 8 answers; run the same commands again"):
        merge_shards(tmp_path / "runs")


def test_shards_of_runs_in_different_numbers_of_parts_are_not_mixed(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 8)
    for shard in (Shard(0, 2), Shard(1, 2), Shard(0, 3)):
        run(task, tmp_path / "runs", shard)
    with pytest.raises(ValueError, match="runs in 2 and 3 parts"):
        merge_shards(tmp_path / "runs")


def test_shards_that_asked_something_else_are_not_mixed(tmp_path: Path) -> None:
    run(toy_task(tmp_path / "data", 8), tmp_path / "runs", Shard(0, 2))
    run(toy_task(tmp_path / "data", 9), tmp_path / "runs", Shard(1, 2))
    with pytest.raises(ValueError, match="shard 1 asks other questions"):
        merge_shards(tmp_path / "runs")


def test_where_there_are_no_shards_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="RANK and WORLD_SIZE"):
        merge_shards(tmp_path)


@pytest.mark.parametrize(
    ("environment", "shard"),
    [
        ({}, None),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "2", "WORLD_SIZE": "4"}, Shard(2, 4)),
        ({"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "3"}, Shard(1, 3)),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, None),
        # torchrun under srun: its own numbers count.
        (
            {"RANK": "5", "WORLD_SIZE": "8", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"},
            Shard(5, 8),
        ),
        # A batch script that starts evalkit itself is the only one to do so.
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),
    ],
)
def test_the_shard_is_read_from_the_environment(environment: dict[str, str], shard: Shard | None) -> None:
    assert shard_of(environment) == shard


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"RANK": "1"}, "WORLD_SIZE is not"),
        ({"WORLD_SIZE": "2"}, "RANK is not"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK from 0 to WORLD_SIZE - 1"),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, "RANK=-1"),
        ({"RANK": "a", "WORLD_SIZE": "2"}, "whole numbers"),
        ({"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "2"}, "SLURM_PROCID from 0"),
    ],
)
def test_numbers_that_name_no_shard_are_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shard_of(environment)

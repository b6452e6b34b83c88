from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_model import TinyModel
from toy_task import rows_of, toy_task, write_clip, write_rows

from evalkit.model import Prepared
from evalkit.results import JournalError, read_journal
from evalkit.runner import DataChangedError, RunSettings, TaskRun, run_task
from evalkit.tasks.schema import Task, TaskMeta


class Stopped(KeyboardInterrupt):
    """Ctrl-C at a chosen batch."""


def stop_at(count: int) -> TinyModel:
    model = TinyModel()

    def fault(batch: Sequence[Prepared]) -> None:
        if len(model.batches) == count:
            raise Stopped

    model.fault = fault
    return model


def interrupt(task: Task, output: Path, after: int, **settings: object) -> TinyModel:
    model = stop_at(after)
    with pytest.raises(Stopped):
        run_task(model, task, RunSettings(output, **({"batch_size": 4} | settings)))  # type: ignore[arg-type]
    return model


def resume(task: Task, output: Path, **settings: object) -> tuple[TaskRun, TinyModel]:
    model = TinyModel()
    done = run_task(model, task, RunSettings(output, **({"batch_size": 4} | settings)))  # type: ignore[arg-type]
    return done, model


def journal(output: Path) -> Path:
    (path,) = output.rglob("samples.jsonl")
    return path


@pytest.mark.fault
@pytest.mark.parametrize("after", range(5))
def test_an_interrupted_run_goes_on_where_it_was_and_ends_the_same(tmp_path: Path, after: int) -> None:
    task = toy_task(tmp_path / "data", 18)
    whole, _ = resume(task, tmp_path / "whole")
    first = interrupt(task, tmp_path / "runs", after)
    assert [entry.id for entry in read_journal(journal(tmp_path / "runs"))] == first.asked
    done, second = resume(task, tmp_path / "runs")
    assert done.resumed == 4 * after == len(first.asked)
    assert not set(first.asked) & set(second.asked)
    assert done.entries == whole.entries
    assert done.run.fingerprints == whole.run.fingerprints
    assert journal(tmp_path / "runs").read_bytes() == journal(tmp_path / "whole").read_bytes()


@pytest.mark.fault
def test_a_torn_batch_runs_again_whole(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 12)
    whole, _ = resume(task, tmp_path / "runs")
    path = journal(tmp_path / "runs")
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:6]) + lines[6][:20])
    done, model = resume(task, tmp_path / "runs")
    assert done.resumed == 4
    assert [len(batch) for batch in model.batches] == [4, 4]
    assert done.entries == whole.entries
    assert path.read_bytes() == content


@pytest.mark.fault
def test_time_is_added_up_over_resumptions(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 8)
    interrupt(task, tmp_path / "runs", 1)
    path = journal(tmp_path / "runs").parent / "run.json"
    record = json.loads(path.read_bytes())
    assert 0 < record["provenance"]["wall_seconds"] < 60
    record["provenance"] |= {"wall_seconds": 1000.0, "started": "2020-01-01T00:00:00+00:00"}
    path.write_text(json.dumps(record))
    done, _ = resume(task, tmp_path / "runs")
    assert 1000.0 < done.run.provenance.wall_seconds < 1060
    assert done.run.provenance.started == "2020-01-01T00:00:00+00:00"


def test_another_batch_size_keeps_what_is_done(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 18)
    whole, _ = resume(task, tmp_path / "whole")
    first = interrupt(task, tmp_path / "runs", 2)
    done, second = resume(task, tmp_path / "runs", batch_size=3)
    assert sorted(first.asked + second.asked) == [entry.id for entry in done.entries]
    assert done.entries == whole.entries


def test_changed_audio_is_refused_by_name_and_fresh_starts_over(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 8)
    done, _ = resume(task, tmp_path / "runs")
    before = journal(tmp_path / "runs").read_bytes()
    write_clip(tmp_path / "data/clips/003.wav", 99)
    with pytest.raises(DataChangedError, match=r"samples\.jsonl: sample 'clip-003': its audio.*--fresh"):
        resume(task, tmp_path / "runs")
    assert journal(tmp_path / "runs").read_bytes() == before
    again, model = resume(task, tmp_path / "runs", fresh=True)
    assert len(model.asked) == 8
    assert again.entries[3] != done.entries[3]


@pytest.mark.fault
def test_changed_audio_that_was_not_asked_yet_is_refused_too(tmp_path: Path) -> None:
    """With shuffled audio it may have been heard already, for another sample."""
    task = toy_task(tmp_path / "data", 12)
    asked = interrupt(task, tmp_path / "runs", 1).asked
    changed = next(row for row in rows_of(12) if row["id"] not in asked)
    write_clip(tmp_path / "data" / changed["audio"], 99)
    with pytest.raises(DataChangedError, match="the data changed since this run was started"):
        resume(task, tmp_path / "runs")


def test_a_removed_sample_is_refused(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 8)
    resume(task, tmp_path / "runs")
    write_rows(tmp_path / "data", rows_of(7))
    with pytest.raises(DataChangedError, match=r"sample 'clip-007' .* no longer part of the data"):
        resume(task, tmp_path / "runs")


def test_an_added_sample_is_refused(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 8)
    write_rows(tmp_path / "data", rows_of(7))
    resume(task, tmp_path / "runs")
    write_rows(tmp_path / "data", rows_of(8))
    with pytest.raises(DataChangedError, match="7 samples then, 8 now"):
        resume(task, tmp_path / "runs")


def test_corrected_references_and_new_slices_need_no_model(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 8)
    before, _ = resume(task, tmp_path / "runs")
    rows = rows_of(8)
    rows[2]["text"] = "corrected"
    write_rows(tmp_path / "data", rows)
    changed = replace(task, meta=TaskMeta(slices=("id",)))
    after, model = resume(changed, tmp_path / "runs")
    assert model.asked == []
    assert after.entries[2].references == ("corrected",)
    assert after.entries[0].fields == {"id": "clip-000"}
    assert after.entries[0].cluster == ""
    assert [entry.response for entry in after.entries] == [entry.response for entry in before.entries]
    assert after.run.fingerprints.data != before.run.fingerprints.data
    assert next(iter(read_journal(journal(tmp_path / "runs")))).fields != {}
    assert resume(changed, tmp_path / "runs")[0].entries == after.entries


def test_reordered_rows_need_no_model(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 8)
    before, _ = resume(task, tmp_path / "runs")
    write_rows(tmp_path / "data", rows_of(8)[::-1])
    after, model = resume(task, tmp_path / "runs")
    assert model.asked == []
    assert [entry.id for entry in after.entries] == [entry.id for entry in before.entries][::-1]
    assert after.run.fingerprints == before.run.fingerprints


def test_a_lost_run_record_is_written_again(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 5)
    before, _ = resume(task, tmp_path / "runs")
    (before.folder / "run.json").unlink()
    after, model = resume(task, tmp_path / "runs")
    assert model.asked == []
    assert after.run.fingerprints == before.run.fingerprints
    assert (before.folder / "run.json").exists()


@pytest.mark.fault
def test_a_damaged_journal_or_record_is_refused_and_left_alone(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 8)
    done, _ = resume(task, tmp_path / "runs")
    path = done.folder / "samples.jsonl"
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"id": "clip-002"', b'"id": "clip-002', 1))
    damaged = path.read_bytes()
    with pytest.raises(JournalError, match=r"samples\.jsonl:\d: not a line of JSON"):
        resume(task, tmp_path / "runs")
    assert path.read_bytes() == damaged
    path.write_bytes(content)
    (done.folder / "run.json").write_text('{"model": 1}')
    with pytest.raises(ValueError, match=r"run\.json: model: "):
        resume(task, tmp_path / "runs")


@pytest.mark.fault
def test_a_result_never_stands_beside_an_unfinished_journal(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 8)
    done, _ = resume(task, tmp_path / "runs")
    (done.folder / "result.json").write_text("{}")
    path = done.folder / "samples.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    interrupt(task, tmp_path / "runs", 0)
    assert not (done.folder / "result.json").exists()

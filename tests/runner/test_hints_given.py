"""A model is told what it names, and a run is made again when that changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tiny_model import TinyModel
from toy_task import rows_of, toy_task, write_rows

from evalkit.model import HintName, Hints, ModelInfo, Prepared, Response
from evalkit.runner import RunSettings, TaskRun, run_task
from evalkit.tasks.schema import Task, TaskMeta


@dataclass
class Listener(TinyModel):
    """Repeats what it was told."""

    hints: tuple[HintName, ...] = ()

    @property
    def info(self) -> ModelInfo:
        return replace(super().info, hints=self.hints)

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        self._enter(batch)
        return [Response(text=repr(one.request.hints)) for one in batch]


def task(folder: Path, **meta: Any) -> Task:
    return toy_task(folder, 4, meta=TaskMeta(**{"majority": "word1", "language": "en", **meta}))


def run(task: Task, output: Path, *hints: HintName) -> tuple[TaskRun, Listener]:
    model = Listener(hints=hints)
    return run_task(model, task, RunSettings(output)), model


def test_a_model_gets_the_hints_that_it_names_and_no_others(tmp_path: Path) -> None:
    asked = task(tmp_path / "data", transcript="voice")
    for names, given in {
        (): Hints(),
        ("majority",): Hints(majority="word1"),
        ("transcripts", "language"): Hints(transcripts=("v0",), language="en"),
    }.items():
        done, _ = run(asked, tmp_path / "runs", *names)
        assert done.entries[0].response.text == repr(given)


def test_a_changed_hint_is_asked_again_only_where_it_is_read(tmp_path: Path) -> None:
    asked, changed = task(tmp_path / "data"), task(tmp_path / "data", majority="word2")
    for names, asked_again in {("majority",): 4, ("language",): 0, (): 0}.items():
        run(asked, tmp_path / "runs", *names)
        done, model = run(changed, tmp_path / "runs", *names)
        assert (len(model.asked), done.resumed) == (asked_again, 4 - asked_again)


def test_a_changed_transcript_of_one_sample_is_a_run_of_its_own(tmp_path: Path) -> None:
    asked = task(tmp_path / "data", transcript="said")
    rows = [{**row, "said": f"sentence {index}"} for index, row in enumerate(rows_of(4))]
    write_rows(tmp_path / "data", rows)
    first, _ = run(asked, tmp_path / "runs", "transcripts")
    rows[0]["said"], rows[1]["said"] = rows[1]["said"], rows[0]["said"]
    write_rows(tmp_path / "data", rows)
    second, model = run(asked, tmp_path / "runs", "transcripts")
    assert first.folder != second.folder
    assert len(model.asked) == 4


def test_rows_share_a_column_whatever_their_models_were_told(tmp_path: Path) -> None:
    asked = task(tmp_path / "data")
    told, deaf = (run(asked, tmp_path / "runs", *names)[0].run.fingerprints for names in (("majority",), ()))
    assert (told.prompt, told.settings, told.data) == (deaf.prompt, deaf.settings, deaf.data)
    assert told.generation != deaf.generation
    assert (bool(told.hints), deaf.hints) == (True, "")


def test_the_record_says_which_hints_there_were(tmp_path: Path) -> None:
    done, _ = run(task(tmp_path / "data"), tmp_path / "runs", "majority")
    record = json.loads((done.folder / "run.json").read_text(encoding="utf-8"))
    assert record["fingerprints"]["hints"] == done.run.fingerprints.hints

"""The committed checkpoints on the committed clips: what the project exists for, on real weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.cards import load_model, resolve_model
from evalkit.evaluation import Evaluation, evaluate
from evalkit.model import AudioSetting, LoadOptions, Model
from evalkit.results import find_results, read_result
from evalkit.runner import RunSettings
from evalkit.tasks import find_tasks
from evalkit.tasks.schema import Task

ASR, VOCAL = "mini_asr_en", "mini_vocal_expression"


@pytest.fixture(scope="module")
def moe() -> Iterator[Model]:
    yield load_model(resolve_model("moe_adapter"), LoadOptions(device="cpu", dtype="float32"))


def task_of(name: str) -> Task:
    (task,) = find_tasks().resolve(name)
    return task


def run(
    model: Model, name: str, folder: Path, *, limit: int, audio: AudioSetting = "real", size: int = 8
) -> Evaluation:
    settings = RunSettings(output=folder, limit=limit, audio=audio, batch_size=size)
    return evaluate(model, task_of(name), settings)


def texts(evaluation: Evaluation) -> list[str | None]:
    return [entry.response.text for entry in evaluation.run.entries]


def test_batches_of_one_and_of_eight_give_the_same_texts_in_fp32(moe: Model, tmp_path: Path) -> None:
    alone = run(moe, ASR, tmp_path / "one", limit=16, size=1)
    together = run(moe, ASR, tmp_path / "eight", limit=16, size=8)
    assert texts(alone) == texts(together)
    assert any(texts(alone))


def test_speech_is_understood_and_silence_is_not(moe: Model, tmp_path: Path) -> None:
    heard = run(moe, ASR, tmp_path, limit=40).result.metrics["wer,none"].value
    silent = run(moe, ASR, tmp_path, limit=40, audio="silence").result.metrics["wer,none"].value
    assert heard < 0.5
    assert silent > heard + 0.3


def test_another_sample_s_audio_gives_another_transcript(moe: Model, tmp_path: Path) -> None:
    heard = texts(run(moe, ASR, tmp_path, limit=8))
    shuffled = texts(run(moe, ASR, tmp_path, limit=8, audio="shuffled"))
    assert sum(a != b for a, b in zip(heard, shuffled, strict=True)) >= 6


def test_a_finished_run_is_not_run_again(moe: Model, tmp_path: Path) -> None:
    first = run(moe, VOCAL, tmp_path, limit=8)
    again = run(moe, VOCAL, tmp_path, limit=8)
    assert (first.run.resumed, again.run.resumed) == (0, 8)
    assert again.result == first.result


def test_records_pass_their_own_schema(moe: Model, tmp_path: Path) -> None:
    made = run(moe, VOCAL, tmp_path, limit=8).result
    (path,) = find_results(tmp_path)
    assert read_result(path) == made
    assert made.partial
    assert sum(made.counts.values()) == made.n == 8


def test_choices_can_be_scored_as_well_as_named(moe: Model, tmp_path: Path) -> None:
    scored = replace(task_of(VOCAL), output_type="multiple_choice")
    result = evaluate(moe, scored, RunSettings(output=tmp_path, limit=8)).result
    assert result.counts["ok"] == 8

"""What of a test is in training data is found there: texts, synthetic ones too, and recordings that were changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from evalkit.artifacts import cache_dir
from recipes.mini import audio, crossing
from recipes.mini.checks import Manifests, audios, manifests, takes_apart
from recipes.mini.rows import TEST_DATA, read_jsonl

COUNT = 12


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Training data without a leak: other characters' cries; the test is a part of the committed one."""
    rows = read_jsonl(TEST_DATA / "vocal_expression/test.jsonl")
    for name, part in (("test", rows[:COUNT]), ("train", rows[-COUNT:])):
        place = tmp_path / name / "vocal_expression"
        place.mkdir(parents=True)
        (place / "audio").symlink_to(TEST_DATA / "vocal_expression/audio")
        (place / f"{name}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in part), encoding="utf-8"
        )
    speech = tmp_path / "test/asr_en"
    speech.mkdir()
    (speech / "test.jsonl").write_text(
        json.dumps({"id": "a", "audio": [], "language": "en", "text": "Please hold the line."}) + "\n"
    )
    monkeypatch.setattr(crossing, "TEST_DATA", tmp_path / "test")
    return tmp_path / "train"


def add(folder: Path, name: str, **row: object) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def test_nothing_is_found_where_nothing_crosses(folder: Path) -> None:
    add(folder, "speech_synth/train.jsonl", id="s", audio="s.wav", text="Please hold the lion by its mane.")
    assert list(crossing.texts_cross(folder, {})) == []
    assert list(crossing.recordings_cross(folder, {})) == []


def test_a_test_text_in_synthetic_speech_is_found(folder: Path) -> None:
    add(folder, "speech_synth/train.jsonl", id="s1", audio="s.wav", text="please HOLD the line")
    add(folder, "speech_synth/train.jsonl", id="s2", audio="s.wav", text="and now please hold the line again")
    found = list(crossing.texts_cross(folder, {}))
    assert [line.split()[1] for line in found] == ["s1", "s2"]


def test_a_test_recording_that_was_trimmed_and_made_quiet_is_found(folder: Path) -> None:
    row = read_jsonl(TEST_DATA / "vocal_expression/test.jsonl")[3]
    (path,) = audios(row)
    wave = audio.load(TEST_DATA / "vocal_expression" / path)
    noise = np.random.default_rng(0).normal(scale=1e-3, size=len(wave)).astype(np.float32)
    changed = 0.3 * (wave + noise)[len(wave) // 20 :]
    (folder / "captions").mkdir()
    (folder / "captions/copy.wav").write_bytes(audio.wav_bytes(changed))
    add(folder, "captions/train.jsonl", id="copy", audio="copy.wav")
    (found,) = crossing.recordings_cross(folder, {})
    assert found.startswith(f"vocal_expression/{path} and captions/copy.wav hold one recording")


def test_training_files_that_are_not_what_the_manifests_list_are_named(folder: Path) -> None:
    built = [Path(a).stem for r in read_jsonl(folder / "vocal_expression/train.jsonl") for a in audios(r)]
    listed: Manifests = {("vocal_expression", "train"): [{"id": name} for name in built]}
    assert list(crossing.built_as_listed(folder, listed)) == []
    listed["vocal_expression", "train"].append({"id": "another"})
    (found,) = crossing.built_as_listed(folder, listed)
    assert found.endswith("differ in 1 clips, such as another")


def test_a_take_that_a_training_mixture_shares_with_a_test_clip_is_found() -> None:
    rows: Manifests = {
        ("captions", "test"): [{"group": "bell+dog"}],
        ("captions", "train"): [{"group": "dog+rain"}],
    }
    assert list(takes_apart(rows)) == ["captions: the takes dog are in test and in training"]


def test_the_command_wants_a_folder_of_training_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert crossing.main([str(tmp_path)]) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not (cache_dir() / "mini-train").exists(), reason="needs the built training data")
@pytest.mark.parametrize("check", crossing.CHECKS, ids=lambda check: check.__name__)
def test_nothing_of_the_tests_is_in_the_built_training_data(
    check: Callable[[Path, Manifests], Iterator[str]],
) -> None:
    assert list(check(cache_dir() / "mini-train", manifests())) == []

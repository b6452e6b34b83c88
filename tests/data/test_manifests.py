"""Kaldi-style folders and NeMo manifests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.data import decode, open_samples
from evalkit.tasks.schema import Task, TaskMeta

Raw = Callable[..., Path]
Rows = Callable[..., Path]


@pytest.fixture
def kaldi(tmp_path: Path, raw: Raw, encoded: Callable[..., bytes]) -> Path:
    raw(encoded(seconds=0.5), "data/test/b.wav")
    raw(encoded(seconds=1.0), "data/test/a.wav")
    raw("utt2 b.wav\nutt1 a.wav\n", "data/test/wav.scp")
    raw("utt1 the first one\nutt2 the second\n", "data/test/text")
    raw("utt1 anna\nutt2 ben\n", "data/test/utt2spk")
    return tmp_path / "data" / "test"


def test_a_kaldi_folder_is_read_in_the_order_of_its_script(task: Task, kaldi: Path) -> None:
    samples = open_samples(replace(task, meta=TaskMeta(cluster="speaker")))
    assert [(s.id, s.references[0], s.cluster, s.seconds) for s in samples] == [
        ("utt2", "the second", "ben", 0.5),
        ("utt1", "the first one", "anna", 1.0),
    ]
    assert len(decode(samples[1].audios[0]).samples) == 16_000
    assert len(open_samples(task, limit=1)) == 1


@pytest.mark.security
def test_a_command_in_place_of_a_path_is_refused(task: Task, kaldi: Path) -> None:
    (kaldi / "wav.scp").write_text("utt1 touch /tmp/owned |\n")
    with pytest.raises(ValueError, match=r"wav.scp:1: is a command, and evalkit runs none"):
        open_samples(task)


def test_an_utterance_without_text_is_named(task: Task, kaldi: Path) -> None:
    (kaldi / "text").write_text("utt1 the first one\n")
    with pytest.raises(ValueError, match=r"wav.scp:1: 'utt2' is missing from .*text"):
        open_samples(task)


def test_segments_are_refused_and_not_ignored(task: Task, kaldi: Path) -> None:
    (kaldi / "segments").write_text("utt1 rec 0 1\n")
    with pytest.raises(ValueError, match="utterances cut out of recordings are not supported"):
        open_samples(task)


def test_a_nemo_manifest_is_a_jsonl_file(
    task: Task, rows: Rows, raw: Raw, encoded: Callable[..., bytes]
) -> None:
    raw(encoded(seconds=0.5), "data/clip.wav")
    rows([{"audio_filepath": "clip.wav", "duration": 0.5, "text": "hello"}], "data/manifest.jsonl")
    [sample] = open_samples(
        replace(task, dataset_path="data/manifest.jsonl", doc_to_audio=("audio_filepath",))
    )
    assert (sample.references, sample.seconds) == (("hello",), 0.5)

"""WebDataset tars."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.data import decode, open_samples
from evalkit.tasks.schema import Task

Encoded = Callable[..., bytes]


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def sample(key: str, clip: bytes, text: str) -> dict[str, bytes]:
    return {f"{key}.flac": clip, f"{key}.json": json.dumps({"text": text, "speaker": 3}).encode()}


def test_members_of_one_name_are_a_sample(task: Task, tmp_path: Path, encoded: Encoded) -> None:
    clips = [encoded("FLAC", seconds=0.5), encoded("FLAC", seconds=1.0)]
    write_tar(tmp_path / "data" / "test-000.tar", sample("a/0001", clips[0], "one"))
    write_tar(tmp_path / "data" / "test-001.tar", sample("a/0002", clips[1], "two"))
    samples = open_samples(task)
    assert [(s.references[0], s.seconds, s.fields["__key__"]) for s in samples] == [
        ("one", 0.5, "a/0001"),
        ("two", 1.0, "a/0002"),
    ]
    assert "audio" not in samples[0].fields and samples[0].fields["speaker"] == 3
    assert len(decode(samples[1].audios[0]).samples) == 16_000


def test_text_members_stand_under_their_suffix(task: Task, tmp_path: Path, encoded: Encoded) -> None:
    write_tar(tmp_path / "data" / "test.tar", {"x.wav": encoded(seconds=0.5), "x.txt": b"hello\n"})
    [one] = open_samples(replace(task, doc_to_target="txt"))
    assert one.references == ("hello",)


def test_a_sample_that_lacks_a_member_is_named(task: Task, tmp_path: Path, encoded: Encoded) -> None:
    clip = encoded("FLAC", seconds=0.5)
    write_tar(tmp_path / "data" / "test.tar", {**sample("a", clip, "one"), "b.flac": clip})
    with pytest.raises(ValueError, match=r"test.tar:b: has no .json, which the first sample has"):
        open_samples(task)


@pytest.mark.parametrize("mode", ["w:gz", ""])
def test_what_is_no_plain_tar_says_so(task: Task, tmp_path: Path, encoded: Encoded, mode: str) -> None:
    path = tmp_path / "data" / "test.tar"
    if mode:
        write_tar(path, sample("a", encoded("FLAC", seconds=0.5), "one"), mode)
    else:
        path.parent.mkdir()
        path.write_bytes(b"not a tar" * 100)
    with pytest.raises(ValueError, match="is no plain tar file"):
        open_samples(task)

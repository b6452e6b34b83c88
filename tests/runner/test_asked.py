"""What a large data set asks is found once, as long as none of its files changes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tiny_model import TinyModel
from toy_task import toy_task, write_clip

from evalkit.data import open_samples
from evalkit.runner import DataChangedError, RunSettings, asked, items, run_task
from evalkit.runner.items import WorkItem, work_items
from evalkit.tasks.schema import Task


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Six clips that are an hour old, and a limit that they reach."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(asked, "LARGE", 6)
    monkeypatch.setattr(asked, "SETTLED_NS", -(10**18))
    return toy_task(tmp_path / "data", 6)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read for their hash."""
    seen: list[str] = []
    real = items.content_sha256

    def content(ref: object) -> str:
        seen.append(ref.name)  # type: ignore[attr-defined]
        return real(ref)  # type: ignore[arg-type]

    monkeypatch.setattr(items, "content_sha256", content)
    return seen


def due(task: Task) -> tuple[WorkItem, ...]:
    return work_items(task, open_samples(task), "real", 0)


def test_the_same_files_are_not_read_again(task: Task, hashed: list[str]) -> None:
    first = due(task)
    assert len(hashed) == 6
    assert due(task) == first
    assert len(hashed) == 6


def test_a_file_of_the_same_size_and_times_that_was_changed_is_read_again(
    task: Task, tmp_path: Path, hashed: list[str]
) -> None:
    first = due(task)
    clip = tmp_path / "data/clips/003.wav"
    before = clip.stat()
    content = bytearray(clip.read_bytes())
    content[-2:] = bytes([content[-2] ^ 1, content[-1]])
    time.sleep(0.01)
    clip.write_bytes(content)
    os.utime(clip, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert clip.stat().st_size == before.st_size
    changed = [new.entry.id for new, old in zip(due(task), first, strict=True) if new != old]
    assert changed == ["clip-003"]
    assert len(hashed) == 12


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"states": {}}', b'{"states": {}, "rows": [[1]]}'])
def test_a_damaged_cache_is_made_again(task: Task, tmp_path: Path, hashed: list[str], content: bytes) -> None:
    first = due(task)
    (kept,) = (tmp_path / "cache/asked").iterdir()
    kept.write_bytes(content)
    assert due(task) == first
    assert len(hashed) == 12


def test_files_that_have_just_changed_are_not_trusted(
    task: Task, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "SETTLED_NS", 10**12)
    assert due(task) == due(task)
    assert len(hashed) == 12


def test_a_run_notices_changed_audio_in_spite_of_the_cache(task: Task, tmp_path: Path) -> None:
    settings = RunSettings(tmp_path / "runs")
    whole = run_task(TinyModel(), task, settings)
    assert run_task(TinyModel(), task, settings).entries == whole.entries
    write_clip(tmp_path / "data/clips/002.wav", 99)
    with pytest.raises(DataChangedError, match="clip-002"):
        run_task(TinyModel(), task, settings)

"""Questions about one recording decode it once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from evalkit.data import AudioError, decode
from evalkit.model import Audio
from evalkit.runner.recordings import Recordings
from evalkit.tasks.schema import AudioRef

RATE = 16_000


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[AudioRef]:
    """What was really decoded."""
    found: list[AudioRef] = []

    def counted(ref: AudioRef, rate: int) -> Audio:
        found.append(ref)
        return decode(ref, rate)

    monkeypatch.setattr("evalkit.runner.recordings.decode", counted)
    return found


def recording(folder: Path, name: str, seconds: float = 1.0) -> AudioRef:
    samples = np.random.default_rng(len(name)).normal(0, 0.1, int(seconds * RATE)).astype(np.float32)
    soundfile.write(folder / f"{name}.wav", samples, RATE)
    return AudioRef(name, folder / f"{name}.wav")


def test_a_file_is_decoded_once_and_heard_the_same(tmp_path: Path, asked: list[AudioRef]) -> None:
    ref, recordings = recording(tmp_path, "a"), Recordings()
    first, again = recordings.decoded(ref, RATE), recordings.decoded(ref, RATE)
    expected = decode(ref, RATE)
    assert len(asked) == 1
    for audio in (first, again):
        assert np.array_equal(audio.samples, expected.samples)
        assert (audio.rate, audio.sha256) == (RATE, expected.sha256)


def test_parts_and_rates_of_a_file_are_told_apart(tmp_path: Path) -> None:
    whole, recordings = recording(tmp_path, "a"), Recordings()
    part = AudioRef("part", whole.path, start=0.25, length=0.5)
    lengths = [len(recordings.decoded(ref, RATE).samples) for ref in (whole, part, whole)]
    assert lengths == [RATE, RATE // 2, RATE]
    assert len(recordings.decoded(whole, RATE // 2).samples) == RATE // 2


def test_what_was_heard_longest_ago_is_forgotten_first(tmp_path: Path, asked: list[AudioRef]) -> None:
    a, b, c = (recording(tmp_path, name) for name in "abc")
    recordings = Recordings(limit=2 * 4 * RATE)
    for ref in (a, b, a, c, a, b):
        recordings.decoded(ref, RATE)
    assert [ref.name for ref in asked] == ["a", "b", "c", "b"]


def test_one_longer_than_the_limit_is_heard_all_the_same(tmp_path: Path, asked: list[AudioRef]) -> None:
    a, recordings = recording(tmp_path, "a"), Recordings(limit=1000)
    assert len(recordings.decoded(a, RATE).samples) == len(recordings.decoded(a, RATE).samples) == RATE
    assert len(asked) == 2


def test_of_several_threads_one_decodes_and_the_others_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, recordings, calls = recording(tmp_path, "a"), Recordings(), list[Any]()
    begun, go_on = threading.Event(), threading.Event()

    def slow(ref: AudioRef, rate: int) -> Audio:
        calls.append(ref)
        begun.set()
        assert go_on.wait(10)
        return decode(ref, rate)

    monkeypatch.setattr("evalkit.runner.recordings.decode", slow)
    with ThreadPoolExecutor(4) as pool:
        due = [pool.submit(recordings.decoded, a, RATE) for _ in range(4)]
        assert begun.wait(10)
        go_on.set()
        heard = [one.result(10) for one in due]
    assert len(calls) == 1
    assert all(one is heard[0] for one in heard)


def test_a_file_that_cannot_be_read_is_an_error_every_time(tmp_path: Path) -> None:
    ref, recordings = AudioRef("none", tmp_path / "none.wav"), Recordings()
    for _ in range(2):
        with pytest.raises(AudioError, match="none"):
            recordings.decoded(ref, RATE)
    recording(tmp_path, "none")
    assert len(recordings.decoded(ref, RATE).samples) == RATE


def test_bytes_and_arrays_are_decoded_as_they_come(asked: list[AudioRef]) -> None:
    recordings = Recordings()
    for value in (0.1, 0.2):
        ref = AudioRef("array", samples=np.full(RATE, value, np.float32), rate=RATE)
        assert recordings.decoded(ref, RATE).samples[0] == np.float32(value)
    assert len(asked) == 2

"""Files, bytes and arrays become mono float32 at one rate."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from evalkit.data import content_sha256, decode, duration
from evalkit.tasks import builtin_folder
from evalkit.tasks.schema import AudioRef

Encoded = Callable[..., bytes]
Tone = Callable[..., NDArray[np.float32]]
CLIPS = sorted(builtin_folder().glob("mini/data/*/audio/*"))[::60]


def loudest(samples: NDArray[np.float32], rate: int) -> float:
    """Frequency of the highest peak, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.stem)
def test_a_real_clip_is_what_soundfile_and_soxr_make_of_it(clip: Path) -> None:
    samples, rate = soundfile.read(clip, dtype="float32", always_2d=True)
    expected = soxr.resample(samples.mean(axis=1), rate, 16_000) if rate != 16_000 else samples[:, 0]
    audio = decode(AudioRef(clip.name, path=clip))
    np.testing.assert_allclose(audio.samples, expected, atol=1e-6)
    assert audio.rate == 16_000
    assert audio.sha256 == hashlib.sha256(clip.read_bytes()).hexdigest()
    assert audio.seconds == pytest.approx(duration(AudioRef(clip.name, path=clip)), abs=1e-3)


def test_there_are_real_clips() -> None:
    assert len(CLIPS) >= 5


@pytest.mark.parametrize(
    ("format", "subtype", "rate", "channels"),
    [
        ("WAV", "PCM_16", 16_000, 1),
        ("WAV", "PCM_24", 8_000, 2),
        ("WAV", "PCM_U8", 11_025, 1),
        ("WAV", "FLOAT", 44_100, 2),
        ("WAV", "DOUBLE", 22_050, 1),
        ("WAV", "ULAW", 8_000, 1),
        ("WAVEX", "PCM_16", 48_000, 6),
        ("RF64", "PCM_16", 16_000, 1),
        ("AIFF", "PCM_16", 32_000, 1),
        ("AU", "PCM_16", 16_000, 1),
        ("NIST", "PCM_16", 16_000, 1),
        ("FLAC", "PCM_16", 16_000, 1),
        ("FLAC", "PCM_24", 96_000, 2),
        ("OGG", "VORBIS", 44_100, 2),
        ("OGG", "OPUS", 48_000, 1),
        ("OGG", "OPUS", 16_000, 1),
        ("MP3", None, 44_100, 2),
        ("MP3", None, 16_000, 1),
    ],
)
def test_every_format_gives_the_tone_that_went_in(
    encoded: Encoded, tmp_path: Path, format: str, subtype: str | None, rate: int, channels: int
) -> None:
    data = encoded(format, subtype, rate=rate, channels=channels, seconds=0.5)
    path = tmp_path / "clip"
    path.write_bytes(data)
    from_bytes, from_file = decode(AudioRef("clip", data=data)), decode(AudioRef("clip", path=path))
    np.testing.assert_array_equal(from_bytes.samples, from_file.samples)
    assert from_bytes.sha256 == from_file.sha256 == content_sha256(AudioRef("clip", path=path))
    samples = from_bytes.samples
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(8_000, abs=100)
    assert loudest(samples, 16_000) == pytest.approx(440, abs=4)
    mixed = 0.5 * np.mean([1 / (channel + 1) for channel in range(channels)])
    assert np.abs(samples[1000:-1000]).max() == pytest.approx(mixed, rel=0.1)
    assert duration(AudioRef("clip", data=data)) == pytest.approx(0.5, abs=0.01)


def test_mono_is_the_mean_of_the_channels(encoded: Encoded, tone: Tone) -> None:
    stereo = tone(16_000, 0.2, channels=2)
    audio = decode(AudioRef("a", data=encoded("WAV", "FLOAT", samples=stereo)))
    np.testing.assert_allclose(audio.samples, stereo.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("name", ["clip.mp3", "clip.raw", "clip", "clip.txt", "clip.wav.flac"])
def test_the_content_chooses_the_decoder_not_the_name(encoded: Encoded, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(encoded())
    assert len(decode(AudioRef(name, path=path)).samples) == 8_000


def test_another_rate_is_resampled_to(encoded: Encoded) -> None:
    audio = decode(AudioRef("a", data=encoded(rate=16_000)), rate=8_000)
    assert (audio.rate, len(audio.samples)) == (8_000, 4_000)


def test_long_files_are_resampled_in_blocks_without_a_seam(tone: Tone, encoded: Encoded) -> None:
    wave = tone(32_000, 40.0)
    audio = decode(AudioRef("a", data=encoded("WAV", "FLOAT", samples=wave, rate=32_000)))
    np.testing.assert_allclose(audio.samples, soxr.resample(wave, 32_000, 16_000), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a,
        lambda a: a.astype(np.float64),
        lambda a: a.tolist(),
        lambda a: (a * 32767).astype(np.int16),
        lambda a: np.stack([a, a]),
        lambda a: np.stack([a, a], axis=1),
    ],
    ids=["float32", "float64", "list", "int16", "channels first", "channels last"],
)
def test_arrays_of_any_kind_are_the_same_audio(tone: Tone, change: Callable[[Any], Any]) -> None:
    wave = tone()
    ref = AudioRef("array", samples=change(wave), rate=16_000)
    np.testing.assert_allclose(decode(ref).samples, wave, atol=1e-4)
    assert duration(ref) == pytest.approx(0.5)


def test_the_hash_of_an_array_follows_values_and_rate(tone: Tone) -> None:
    wave = tone()
    one = AudioRef("a", samples=wave, rate=16_000)
    assert content_sha256(one) == content_sha256(AudioRef("b", samples=wave.copy(), rate=16_000))
    assert content_sha256(one) == decode(one).sha256
    assert content_sha256(one) != content_sha256(AudioRef("a", samples=wave, rate=8_000))
    assert content_sha256(one) != content_sha256(AudioRef("a", samples=-wave, rate=16_000))


def test_a_streamed_file_of_unknown_length_is_read(encoded: Encoded) -> None:
    data = bytearray(encoded())
    at = data.index(b"data")
    data[at + 4 : at + 8] = b"\xff\xff\xff\xff"
    data[4:8] = b"\xff\xff\xff\xff"
    assert len(decode(AudioRef("a", data=bytes(data))).samples) == 8_000


def test_chunks_before_the_samples_are_skipped(encoded: Encoded) -> None:
    data = encoded()
    with_list = data[:36] + b"LIST" + (3).to_bytes(4, "little") + b"abc\0" + data[36:]
    assert len(decode(AudioRef("a", data=with_list)).samples) == 8_000

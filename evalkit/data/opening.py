"""Opening audio: files, bytes and zip members, their headers, and how long they are.

Headers are checked before anything is allocated; whatever is wrong is an AudioError that says what.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from evalkit.data.archives import read_member
from evalkit.data.mp4 import is_mp4, mp4_length
from evalkit.tasks.schema import AudioRef

MAX_BYTES = 2 << 30
MAX_SECONDS = 4 * 3600
MAX_CHANNELS = 32
MIN_RATE, MAX_RATE = 1_000, 768_000
OVERSHOOT = 0.5
FORMATS = frozenset(["WAV", "WAVEX", "RF64", "AIFF", "AU", "NIST", "FLAC", "OGG", "MP3"])


class AudioError(ValueError):
    """A clip that cannot be used, with its name and the reason."""

    def __init__(self, ref: AudioRef, reason: str) -> None:
        self.reason = reason
        super().__init__(f"audio {ref.name!r}: {reason}")


def duration(ref: AudioRef) -> float:
    """Length in seconds by the header alone; 0.0 for what cannot be read."""
    if ref.samples is not None:
        array = np.asarray(ref.samples)
        return max(array.shape, default=0) / ref.rate if ref.rate > 0 and array.ndim in (1, 2) else 0.0
    if ref.path is None or ref.start or ref.length is not None:
        return _measured(ref)
    try:
        status = ref.path.stat()
    except (OSError, ValueError):
        return 0.0
    return _measured_file(str(ref.path), ref.member, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1 << 12)
def _measured_file(path: str, member: str, size: int, changed: int) -> float:
    """A run asks when it plans and again when it reads, and several questions may share a recording."""
    return _measured(AudioRef("", path=Path(path), member=member))


def _measured(ref: AudioRef) -> float:
    try:
        with opened(ref) as file:
            if is_mp4(file):
                frames, rate = length_of_mp4(ref, file)
                return part_of(ref, frames, rate)[1] / rate
            with sound_file(ref, file) as sound:
                return float(part_of(ref, sound.frames, sound.samplerate)[1] / sound.samplerate)
    except AudioError:
        return 0.0


@contextlib.contextmanager
def opened(ref: AudioRef) -> Iterator[BinaryIO]:
    """The encoded recording as a binary file. Raises AudioError for what is missing, empty or far too large."""
    if ref.data is not None:
        if not ref.data:
            raise AudioError(ref, "is empty (0 bytes)")
        yield io.BytesIO(ref.data)
        return
    if ref.path is None:
        raise AudioError(ref, "the data names no audio for this sample")
    if ref.member:
        try:
            yield io.BytesIO(read_member(ref.path, ref.member, MAX_BYTES))
        except ValueError as error:
            raise AudioError(ref, str(error)) from None
        return
    try:
        status = ref.path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(ref, "is not a file")
        if status.st_size == 0:
            raise AudioError(ref, "is empty (0 bytes)")
        if status.st_size > MAX_BYTES:
            raise AudioError(ref, f"is larger than {MAX_BYTES >> 30} GiB; split it")
        file = ref.path.open("rb")
    except (OSError, ValueError) as error:
        if isinstance(error, AudioError):
            raise
        missing = isinstance(error, FileNotFoundError)
        reason = "there is no such file" if missing else getattr(error, "strerror", None) or str(error)
        raise AudioError(ref, f"{reason} ({ref.path})") from None
    with file:
        yield file


@contextlib.contextmanager
def sound_file(ref: AudioRef, file: BinaryIO) -> Iterator[Any]:
    """The open file, its header checked before anything is allocated."""
    import soundfile

    file.seek(0)
    # A descriptor carries no name, so that a wrong file extension cannot choose the decoder.
    source = file if isinstance(file, io.BytesIO) else file.fileno()
    if isinstance(source, int):
        os.lseek(source, 0, os.SEEK_SET)  # what was read ahead into a buffer moved the descriptor
    try:
        sound = soundfile.SoundFile(source, closefd=False)
    except (soundfile.SoundFileError, OSError, ValueError, TypeError):
        known = "wav, flac, ogg, opus, mp3, aiff, au, sph"
        raise AudioError(ref, f"is not audio that can be read (known: {known})") from None
    with sound:
        problem = _header_problem(sound)
        if problem:
            raise AudioError(ref, problem)
        yield sound


def _header_problem(sound: Any) -> str:
    if sound.format not in FORMATS:
        return f"is {sound.format}, which is not supported; convert it to wav or flac"
    if not MIN_RATE <= sound.samplerate <= MAX_RATE:
        return f"has a sample rate of {sound.samplerate} Hz, outside {MIN_RATE} to {MAX_RATE}"
    if sound.channels > MAX_CHANNELS:
        return f"has {sound.channels} channels, more than {MAX_CHANNELS}"
    if sound.frames / sound.samplerate > MAX_SECONDS:
        return f"is {sound.frames / sound.samplerate / 3600:.1f} h long, more than {MAX_SECONDS // 3600} h"
    return "holds 0 samples" if sound.frames <= 0 else ""


def part_of(ref: AudioRef, frames: int, rate: int) -> tuple[int, int]:
    """First sample and number of samples of the part that is meant. Raises AudioError if it lies outside.

    An end a little after the recording's is cut to it, as Kaldi's extract-segments does.
    """
    first = round(ref.start * rate)
    count = frames - first if ref.length is None else round(ref.length * rate)
    if first < 0 or count <= 0 or first >= frames or first + count > frames + OVERSHOOT * rate:
        said = "its end" if ref.length is None else f"{ref.start + ref.length:g} s"
        raise AudioError(
            ref, f"the part from {ref.start:g} s to {said} lies outside its {frames / rate:.2f} s"
        )
    return first, min(count, frames - first)


def length_of_mp4(ref: AudioRef, file: BinaryIO) -> tuple[int, int]:
    try:
        return mp4_length(file)
    except ValueError as error:
        raise AudioError(ref, str(error)) from None

"""Audio files, bytes and arrays to mono float32 at one rate.

Whatever is wrong with a clip is an AudioError that says what: never silence, never a shorter clip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from evalkit.data.container import missing_bytes
from evalkit.data.mp4 import is_mp4, read_mp4
from evalkit.data.opening import (
    MAX_CHANNELS,
    MAX_RATE,
    MAX_SECONDS,
    MIN_RATE,
    AudioError,
    opened,
    part_of,
    sound_file,
)
from evalkit.model import Audio
from evalkit.tasks.schema import AudioRef

BLOCK = 1 << 19
# An MP3 without a Xing header is measured by its frames: its first and last may be encoder padding.
_MP3_SLACK = 2 * 1152


def decode(ref: AudioRef, rate: int = 16_000) -> Audio:
    """Decode, mix to mono (mean of the channels) and resample (soxr, HQ) one clip.

    Returns float32 samples [n] at `rate` and the SHA-256 of the encoded content.
    Raises AudioError for what is missing, empty, cut off, no audio, not finite, or absurdly long or shaped.
    """
    if ref.samples is not None:
        return _from_array(ref, rate)
    with opened(ref) as file:
        lacking = missing_bytes(file)
        if lacking:
            raise AudioError(ref, f"is cut off: {lacking} bytes fewer than its header says")
        digest = _digest(ref, file)
        samples = _read_mp4(ref, file, rate) if is_mp4(file) else _read(ref, file, rate)
    return Audio(samples, rate, digest)


def content_sha256(ref: AudioRef) -> str:
    """SHA-256 of the encoded bytes, and the part of them that is meant (of shape, rate and values for an array).

    Raises AudioError.
    """
    if ref.samples is not None:
        return _array_digest(np.asarray(ref.samples), ref.rate)
    with opened(ref) as file:
        return _digest(ref, file)


def part_sha256(ref: AudioRef, whole: str) -> str:
    """The hash of the part that `ref` means, from that of the whole recording; for all of it the same."""
    if not ref.start and ref.length is None:
        return whole
    return hashlib.sha256(f"{whole} {ref.start}+{ref.length}".encode()).hexdigest()


def _digest(ref: AudioRef, file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return part_sha256(ref, digest.hexdigest())


def _read(ref: AudioRef, file: BinaryIO, rate: int) -> NDArray[np.float32]:
    """Decode block by block, so that memory holds the result and one block at the file's own rate."""
    with sound_file(ref, file) as sound:
        slack = _MP3_SLACK if sound.format == "MP3" else 0
        own_rate = sound.samplerate
        first, promised = part_of(ref, sound.frames, own_rate)
        if first:
            sound.seek(first)
        # Soundfile would seek to where it is after every block, which decodes the end of an Opus file again.
        sound.seekable = lambda: False
        resampled = _Resampled(own_rate, rate)
        read = 0
        for block in _blocks(ref, sound, promised):
            read += len(block)
            if read / own_rate > MAX_SECONDS:
                raise AudioError(ref, f"decodes to more than {MAX_SECONDS // 3600} h")
            if not np.isfinite(block).all():
                raise AudioError(ref, f"holds NaN or infinite samples (in the first {read / own_rate:.1f} s)")
            resampled.add(block)
    if read + slack < promised:
        raise AudioError(ref, f"is cut off: {read} of the {promised} samples that its header says")
    return _nonempty(ref, resampled.finish(), rate)


def _read_mp4(ref: AudioRef, file: BinaryIO, rate: int) -> NDArray[np.float32]:
    try:
        mono, own_rate = read_mp4(file, MAX_SECONDS)
    except ValueError as error:
        raise AudioError(ref, str(error)) from None
    first, count = part_of(ref, len(mono), own_rate)
    if not MIN_RATE <= own_rate <= MAX_RATE:
        raise AudioError(ref, f"has a sample rate of {own_rate} Hz, outside {MIN_RATE} to {MAX_RATE}")
    resampled = _Resampled(own_rate, rate)
    resampled.add(_nonempty(ref, mono[first : first + count], own_rate))
    return _nonempty(ref, resampled.finish(), rate)


def _blocks(ref: AudioRef, sound: Any, wanted: int) -> Iterator[NDArray[np.float32]]:
    """Mono blocks of together `wanted` samples, or fewer where the file ends before."""
    import soundfile

    while wanted:
        length = min(BLOCK, wanted)
        try:
            block = sound.read(length, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, OSError, ValueError) as error:
            reason = str(error).removeprefix("Error : ").strip().rstrip(".")
            raise AudioError(ref, f"cannot be decoded to its end, cut off or damaged ({reason})") from None
        wanted = wanted - length if len(block) == length else 0
        yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)


class _Resampled:
    """Collects blocks at one rate and gives them at another."""

    def __init__(self, own_rate: int, rate: int) -> None:
        import soxr

        self.stream = soxr.ResampleStream(own_rate, rate, 1, dtype="float32") if own_rate != rate else None
        self.parts: list[NDArray[np.float32]] = []

    def add(self, block: NDArray[np.float32]) -> None:
        self.parts.append(block if self.stream is None else self.stream.resample_chunk(block))

    def finish(self) -> NDArray[np.float32]:
        if self.stream is not None:
            self.parts.append(self.stream.resample_chunk(np.zeros(0, np.float32), last=True))
        samples = np.empty(sum(map(len, self.parts)), np.float32)
        end = len(samples)
        while self.parts:  # part by part, so that a long clip is never in memory twice
            part = self.parts.pop()
            samples[end - len(part) : end] = part
            end -= len(part)
        return samples


def _from_array(ref: AudioRef, rate: int) -> Audio:
    array = np.asarray(ref.samples)
    if array.ndim not in (1, 2) or not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise AudioError(ref, f"is an array of shape {array.shape} and type {array.dtype}, not samples")
    if not MIN_RATE <= ref.rate <= MAX_RATE:
        raise AudioError(ref, f"has a sample rate of {ref.rate} Hz, outside {MIN_RATE} to {MAX_RATE}")
    if max(array.shape) / ref.rate > MAX_SECONDS:
        raise AudioError(ref, f"is {max(array.shape) / ref.rate / 3600:.1f} h long")
    if array.ndim == 2 and min(array.shape) > MAX_CHANNELS:
        raise AudioError(ref, f"has {min(array.shape)} channels, more than {MAX_CHANNELS}")
    digest = _array_digest(array, ref.rate)
    scale = np.iinfo(array.dtype).max + 1 if np.issubdtype(array.dtype, np.integer) else 1
    mono = array if array.ndim == 1 else array.mean(axis=int(np.argmin(array.shape)))
    with np.errstate(over="ignore"):
        samples = (mono / scale if scale != 1 else mono).astype(np.float32)
    if not np.isfinite(samples).all():
        raise AudioError(ref, "holds NaN or infinite samples")
    resampled = _Resampled(ref.rate, rate)
    resampled.add(_nonempty(ref, samples, ref.rate))
    return Audio(_nonempty(ref, resampled.finish(), rate), rate, digest)


def _array_digest(array: NDArray[Any], rate: int) -> str:
    head = f"{array.dtype.str}{array.shape}@{rate}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def _nonempty(ref: AudioRef, samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    if len(samples) == 0:
        raise AudioError(ref, f"holds 0 samples at {rate} Hz")
    return samples

"""Decode, resample and encode clips: everything ends as 16 kHz mono Opus."""

from __future__ import annotations

import io
import subprocess
import zlib
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

RATE = 16_000
KBPS = 32
Wave = NDArray[np.float32]


def load(path: Path) -> Wave:
    """Mono float32 samples at 16 kHz, shape [n]."""
    x, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return resample(x.mean(axis=1), rate, RATE)


def resample(x: Wave, source: int, target: int) -> Wave:
    """High-quality resampling; the input itself when the rates agree."""
    y = x if source == target else soxr.resample(x, source, target)
    return np.ascontiguousarray(y, dtype=np.float32)


def duration(path: Path) -> float:
    """Seconds, 0 for a file that cannot be read."""
    try:
        return float(soundfile.info(path).duration)
    except soundfile.LibsndfileError:
        return 0.0


def wav_bytes(x: Wave) -> bytes:
    """16-bit PCM WAV; peaks over full scale are scaled down, never clipped."""
    peak = float(np.abs(x).max(initial=0.0))
    buffer = io.BytesIO()
    soundfile.write(buffer, x / peak * 0.999 if peak > 0.999 else x, RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def encode(x: Wave, target: Path) -> None:
    """Write `x` as Opus; the stream serial comes from the file name, so one clip always gives one file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    serial = str(zlib.crc32(target.stem.encode()) & 0x7FFFFFFF)
    options = [
        "--quiet",
        "--bitrate",
        str(KBPS),
        "--serial",
        serial,
        "--discard-comments",
        "--discard-pictures",
    ]
    temporary = target.with_suffix(".part")
    command = ["opusenc", *options, "--padding", "0", "-", str(temporary)]
    subprocess.run(command, input=wav_bytes(x), check=True)
    temporary.replace(target)


def through_telephone(x: Wave) -> Wave:
    """The same sound limited to the band of an 8 kHz telephone line."""
    return resample(resample(x, RATE, 8_000), 8_000, RATE)

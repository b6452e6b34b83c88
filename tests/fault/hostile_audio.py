"""Audio files that are cut, bent, lying, huge or something else, made by a seeded script."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
FORMATS = (
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAVEX", "PCM_16"),
    ("RF64", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("AU", "PCM_16"),
    ("NIST", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
)


@dataclass(frozen=True)
class Clip:
    """expected: the status of its sample; "either" where the damage may fall on what does not matter."""

    name: str
    path: str
    expected: str = "error"


def write_clips(folder: Path) -> list[Clip]:
    """All of them, the same on every call."""
    folder.mkdir(parents=True)
    clips: list[Clip] = []
    for make in (_cut, _bent, _lying, _odd, _disguised, _long):
        for name, data, expected in make():
            (folder / name).write_bytes(data)
            clips.append(Clip(name, name, expected))
    return clips + list(_places(folder))


def _encoded(format: str, subtype: str | None = None, samples: object = None, rate: int = RATE) -> bytes:
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, rate // 2).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, noise if samples is None else samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def wav(
    *, rate: int = RATE, channels: int = 1, bits: int = 16, size: int = 200, body: bytes = bytes(200)
) -> bytes:
    """A WAV file whose header says what it likes."""
    block = channels * bits // 8
    kind = struct.pack("<HHIIHH", 1, channels, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, bits)
    head = b"RIFF" + struct.pack("<I", 36 + size & 0xFFFFFFFF) + b"WAVEfmt " + struct.pack("<I", 16) + kind
    return head + b"data" + struct.pack("<I", size) + body


def _cut() -> Iterator[tuple[str, bytes, str]]:
    rng = random.Random(0)
    for format, subtype in FORMATS:
        data = _encoded(format, subtype)
        for size in (3, 11, 40, rng.randrange(45, len(data) - 2), len(data) - 1):
            yield f"cut-{format}-{subtype}-{size}.{format.lower()}", data[:size], "error"


def _bent() -> Iterator[tuple[str, bytes, str]]:
    """One to eight bytes of the header or the body changed at random."""
    rng = random.Random(1)
    for format, subtype in FORMATS:
        data = _encoded(format, subtype)
        for number in range(4):
            bent = bytearray(data)
            reach = len(data) if number % 2 else min(64, len(data))
            for _ in range(1 << number):
                bent[rng.randrange(reach)] = rng.randrange(256)
            yield f"bent-{format}-{subtype}-{number}.wav", bytes(bent), "either"


def _lying() -> Iterator[tuple[str, bytes, str]]:
    for rate in (0, 1, 999, 1_000_000, 0xFFFFFFFF):
        yield f"rate-{rate}.wav", wav(rate=rate), "error"
    for channels in (0, 33, 64, 1024, 65_535):
        body = bytes(max(2, channels * 2) * 4)
        yield f"channels-{channels}.wav", wav(channels=channels, size=len(body), body=body), "error"
    for bits in (0, 1, 7, 64, 65_535):
        # libsndfile rounds one and seven bits up to eight, as the format asks.
        yield f"bits-{bits}.wav", wav(bits=bits), "either" if bits in (1, 7) else "error"
    for size in (0, 199, 10_000, 0x7FFFFFFF):
        yield f"size-{size}.wav", wav(size=size), "either" if size == 199 else "error"
    yield "no-data.wav", wav()[:36], "error"
    yield "chunk-of-4-gb.wav", wav()[:36] + b"LIST" + b"\xff\xff\xff\xff" + bytes(50), "error"
    yield "chunks-without-end.wav", wav()[:36] + b"junk\0\0\0\0" * 5000, "error"
    yield "mp3-tag-of-256-mb.mp3", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(2000), "error"
    yield "pages-of-nothing.ogg", (b"OggS" + bytes(22) + b"\0") * 2000, "error"
    yield "frames-of-nothing.mp3", b"\xff\xfb\x90\x00" * 3000, "either"


def _odd() -> Iterator[tuple[str, bytes, str]]:
    for value, name in ((np.nan, "nan"), (np.inf, "inf"), (-np.inf, "minus-inf")):
        samples = np.zeros(500, np.float32)
        samples[250] = value
        yield f"{name}.wav", _encoded("WAV", "FLOAT", samples), "error"
        yield f"{name}.aiff", _encoded("AIFF", "FLOAT", samples), "error"
    yield "too-large-for-float32.wav", _encoded("WAV", "DOUBLE", np.full(500, 1e300)), "error"
    for format in ("WAV", "FLAC", "AIFF", "AU", "OGG"):
        yield f"no-samples.{format.lower()}", _encoded(format, None, np.zeros(0, np.float32)), "error"
    yield "one-sample.wav", _encoded("WAV", None, np.full(1, 0.5, np.float32), 192_000), "error"


def _disguised() -> Iterator[tuple[str, bytes, str]]:
    yield "really-wav.mp3", _encoded("WAV"), "ok"
    yield "really-flac.wav", _encoded("FLAC"), "ok"
    yield "really-ogg.flac", _encoded("OGG"), "ok"
    yield "caf.wav", _encoded("CAF"), "error"
    yield "page.wav", b"<html><body>404 Not Found</body></html>" * 20, "error"
    yield "pickle.wav", b"\x80\x04cos\nsystem\n(S'touch canary'\ntR." * 10, "error"
    yield "program.wav", b"#!/bin/sh\ntouch canary\n" * 20, "error"
    yield "empty.wav", b"", "error"
    yield "zeros.wav", bytes(5000), "error"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clip.wav", bytes(50_000_000))
    yield "bomb.zip", packed.getvalue(), "error"
    yield "bomb.wav", gzip.compress(wav(size=50_000_000, body=bytes(50_000_000)), 1), "error"
    rng = random.Random(2)
    for number in range(6):
        yield f"noise-{number}.wav", rng.randbytes(rng.randrange(1, 4000)), "error"


def _long() -> Iterator[tuple[str, bytes, str]]:
    """Hours of silence in a few kilobytes: by the header alone, and in truth."""
    data = bytearray(_encoded("FLAC"))
    data[21:26] = bytes([data[21] & 0xF0]) + (10 * 3600 * RATE).to_bytes(4, "big")
    yield "says-ten-hours.flac", bytes(data), "error"
    yield "ten-hours.flac", _silence(hours=10), "error"
    yield "five-hours.flac", _silence(hours=5), "error"
    yield "an-hour.flac", _silence(hours=1), "ok"


def _silence(hours: int) -> bytes:
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 1_000, 1, format="FLAC") as sound:
        for _ in range(hours):
            sound.write(np.zeros(3_600_000, np.int16))
    return file.getvalue()


def _places(folder: Path) -> Iterator[Clip]:
    """Paths that lead to no file."""
    makers: dict[str, Callable[[Path], object]] = {
        "folder.wav": lambda path: path.mkdir(),
        "loop.wav": lambda path: path.symlink_to(path),
        "dangling.wav": lambda path: path.symlink_to("gone"),
        "zero-device.wav": lambda path: path.symlink_to("/dev/zero"),
        "terminal.wav": lambda path: path.symlink_to("/dev/tty"),
        "memory.wav": lambda path: path.symlink_to("/proc/self/mem"),
        "three-gb.wav": _sparse,
    }
    for name, make in makers.items():
        make(folder / name)
        yield Clip(name, name)
    for number, path in enumerate(
        ["gone.wav", "gone/clip.wav", "a\0b.wav", "x" * 300 + ".wav", "y/" * 3000, "http://example.org/a.wav"]
    ):
        yield Clip(f"path-{number}", path)
    yield Clip("no-path", "")


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.write(wav(size=0x7FFFFFFF))
        file.truncate(3 << 30)

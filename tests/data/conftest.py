"""A task over rows that a test writes, and short clips."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from evalkit.tasks.schema import Task


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A task beside `data/`."""
    return Task("small", tmp_path / "small.yaml", "data", "Transcribe the speech.", "text")


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as `data/test.jsonl` (or another name) and return the file."""

    def write(rows: Iterable[Mapping[str, Any]], name: str = "data/test.jsonl") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def raw(tmp_path: Path) -> Callable[..., Path]:
    """Write text or bytes as `data/test.jsonl` (or another name) and return the file."""

    def write(content: str | bytes, name: str = "data/test.jsonl") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def tone() -> Callable[..., NDArray[np.float32]]:
    """A 440 Hz tone of half amplitude; shape [n], or [n, channels] with a quieter copy in every channel."""

    def make(rate: int = 16_000, seconds: float = 0.5, channels: int = 1) -> NDArray[np.float32]:
        wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)
        stack = np.stack([wave / (channel + 1) for channel in range(channels)], axis=1)
        return (stack[:, 0] if channels == 1 else stack).astype(np.float32)

    return make


@pytest.fixture
def encoded(tone: Callable[..., NDArray[np.float32]]) -> Callable[..., bytes]:
    """A clip as the bytes of a file."""

    def make(
        format: str = "WAV", subtype: str | None = None, samples: Any = None, rate: int = 16_000, **kind: Any
    ) -> bytes:
        file = io.BytesIO()
        content = tone(rate, **kind) if samples is None else samples
        soundfile.write(file, content, rate, format=format, subtype=subtype)
        return file.getvalue()

    return make

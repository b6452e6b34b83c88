"""A task that is valid, to be made wrong one line at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

VALID = """\
task: greeting
tag: [asr, small]
dataset_path: data
doc_to_audio: audio
doc_to_text: "Transcribe the speech."
doc_to_target: text
metric_list:
  - {metric: wer, normalizer: whisper_en}
"""


@pytest.fixture
def valid() -> str:
    return VALID


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file below a fresh folder and return its path."""

    def write(text: str | bytes, name: str = "greeting.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write

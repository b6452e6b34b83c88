"""Real clips and the real mini backbone, each loaded once. A missing backbone fails; it never skips."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from evalkit.data.audio import decode
from evalkit.tasks.schema import AudioRef
from model_adapters.audio_llm import encoder, llm
from model_adapters.backbone import Backbone, resolve

ASR = Path(__file__).parents[2] / "tasks/mini/data/asr_en"
CPU = torch.device("cpu")

Clips = Callable[[int], list[NDArray[np.float32]]]


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    return resolve("mini", fetch=False)


@pytest.fixture(scope="session")
def features(backbone: Backbone) -> encoder.WhisperFeatures:
    return encoder.WhisperFeatures(backbone.whisper)


@pytest.fixture(scope="session")
def whisper(backbone: Backbone) -> Any:
    return encoder.load_encoder(backbone.whisper, torch.float32, CPU)


@pytest.fixture(scope="session")
def smollm(backbone: Backbone) -> tuple[Any, Any]:
    """(language model, tokenizer), shared by all tests: none may change it."""
    return llm.load_llm(backbone.llm, torch.float32, CPU)


@pytest.fixture(scope="session")
def clips() -> Clips:
    """clips(n): the first n test recordings of asr_en, float32 at 16 kHz."""
    rows = [json.loads(line) for line in (ASR / "test.jsonl").read_text(encoding="utf-8").splitlines()]

    def read(count: int) -> list[NDArray[np.float32]]:
        return [decode(AudioRef(r["id"], ASR / r["audio"]), encoder.RATE).samples for r in rows[:count]]

    return read

"""Encoder states of the training clips, computed once and kept on disk, since the encoder is frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evalkit.data import content_sha256, decode
from evalkit.tasks.schema import AudioRef
from model_adapters.audio_llm import encoder as whisper

SHARD = 256
Report = Callable[[int, int], None]


def cached_states(
    folder: Path, audios: Sequence[AudioRef], key: str, load: Callable[[], tuple[Any, Any]], report: Report
) -> list[Tensor]:
    """Encoder states [frames, d], fp16, of every clip, in order.

    key: identity of the encoder; load: gives (features, encoder) and is called only when a shard is
    missing; report(done, total). A shard is named by what is in it, so a killed run goes on at its last
    one, and recipes that share clips share their shards.
    """
    from safetensors.torch import load_file, save_file

    folder.mkdir(parents=True, exist_ok=True)
    loaded: tuple[Any, Any] | None = None
    states: list[Tensor] = []
    for start in range(0, len(audios), SHARD):
        members = audios[start : start + SHARD]
        identity = "\n".join([key, *map(content_sha256, members)])
        path = folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.safetensors"
        if not path.exists():
            loaded = loaded or load()
            shard = _encode(loaded, members)
            partial = path.with_suffix(".partial")
            save_file({f"{i:04d}": s for i, s in enumerate(shard)}, partial)
            partial.replace(path)
        stored = load_file(path)
        states += [stored[k] for k in sorted(stored)]
        report(len(states), len(audios))
    return states


def _encode(loaded: tuple[Any, Any], audios: Sequence[AudioRef]) -> list[Tensor]:
    features, encoder = loaded
    clips = [decode(audio, whisper.RATE).samples[: whisper.MAX_WINDOW] for audio in audios]
    order = sorted(range(len(clips)), key=lambda i: len(clips[i]))
    states: dict[int, Tensor] = {}
    for start in range(0, len(order), 16):
        chosen = order[start : start + 16]
        found = whisper.encode(encoder, [features(clips[i]) for i in chosen])
        for i, state in zip(chosen, found, strict=True):
            frames = whisper.frame_count(len(clips[i]))
            states[i] = state[:frames].to("cpu", torch.float16).clone()
    return [states[i] for i in range(len(clips))]

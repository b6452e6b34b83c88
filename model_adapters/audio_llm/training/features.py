"""Encoder states of the training clips, computed once and kept on disk, since the encoder is frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evalkit.artifacts import build_once
from evalkit.data import decode
from evalkit.tasks.schema import AudioRef
from model_adapters.audio_llm import encoder as whisper

SHARD = 256
Report = Callable[[int], None]


def cached_states(
    folder: Path,
    audios: Mapping[AudioRef, str],
    key: str,
    load: Callable[[], tuple[Any, Any]],
    report: Report,
) -> list[Tensor]:
    """Encoder states [frames, d], fp16, of every clip, in order; of one beyond 30 s, those of its windows.

    audios: the clips and the hashes of their content; key: identity of the encoder; load: gives (features,
    encoder) and is called only when a shard is missing; report(done): clips so far. A shard is named by what
    is in it, so a killed run goes on at its last one, and recipes that share clips share their shards.
    """
    from safetensors.torch import load_file, save_file

    clips = list(audios)
    loaded: tuple[Any, Any] | None = None
    states: list[Tensor] = []
    for start in range(0, len(clips), SHARD):
        members = clips[start : start + SHARD]
        identity = "\n".join([key, *(audios[member] for member in members)])
        path = folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.safetensors"

        def build(part: Path, members: Sequence[AudioRef] = members) -> None:
            nonlocal loaded
            loaded = loaded or load()
            save_file({f"{i:04d}": s for i, s in enumerate(_encode(loaded, members))}, part)

        stored = load_file(build_once(path, build))
        states += [stored[k] for k in sorted(stored)]
        report(len(states))
    return states


def _encode(loaded: tuple[Any, Any], audios: Sequence[AudioRef]) -> list[Tensor]:
    features, encoder = loaded
    clips = [whisper.windows(decode(audio, whisper.RATE).samples) for audio in audios]
    cuts = {(i, place): cut for i, clip in enumerate(clips) for place, cut in enumerate(clip)}
    order = sorted(cuts, key=lambda where: len(cuts[where]))
    states: dict[tuple[int, int], Tensor] = {}
    for start in range(0, len(order), 16):
        chosen = order[start : start + 16]
        found = whisper.encode(encoder, [features(cuts[where]) for where in chosen])
        for where, state in zip(chosen, found, strict=True):
            frames = whisper.frame_count(len(cuts[where]))
            states[where] = state[:frames].to("cpu", torch.float16)
    return [torch.cat([states[i, place] for place in range(len(clip))]) for i, clip in enumerate(clips)]

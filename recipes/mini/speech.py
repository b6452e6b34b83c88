"""Synthetic training speech: planned texts, several engines, part of it through a telephone line."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recipes.mini import audio, rows, texts, tts
from recipes.mini.audio import RATE, Wave
from recipes.mini.packages import Store

COUNT = 9_000
SHORTEST = 0.2
LONGEST = 12.0
TELEPHONE_SHARE = 0.6
TEXT_LICENSE = {"prompt": "CC-BY-SA-3.0", "recombined": "CC-BY-SA-3.0", "fortune": "BSD-3-Clause"}


def _choices(index: int) -> dict[str, Any]:
    """How utterance `index` is spoken and transmitted."""
    rng = random.Random(f"speech_synth/1/voice/{index}")
    engine, voice, _ = rng.choices(tts.VOICES, weights=[share for *_, share in tts.VOICES])[0]
    return {
        "engine": engine,
        "voice": voice,
        "speed": round(rng.uniform(0.85, 1.2), 3),
        "telephone": rng.random() < TELEPHONE_SHARE,
        "gain_db": round(rng.uniform(-12, 3), 1),
        "noise_db": round(rng.uniform(-50, -28), 1) if rng.random() < 0.35 else None,
    }


def _transmit(x: Wave, how: dict[str, Any], index: int) -> Wave:
    """Apply level, noise and line. Noise is relative to the speech."""
    level = float(np.sqrt(np.mean(x**2)) + 1e-9)
    x = x * (0.08 / level) * 10 ** (how["gain_db"] / 20)
    if how["noise_db"] is not None:
        noise = np.random.default_rng(index).standard_normal(len(x)).astype(np.float32)
        x = x + noise * 0.08 * 10 ** ((how["gain_db"] + how["noise_db"]) / 20)
    x = audio.through_telephone(x) if how["telephone"] else x
    return np.asarray(x, dtype=np.float32)


def _make(index: int, text: str, target: Path, store: Store) -> None:
    how = _choices(index)
    x = tts.speak(how["engine"], how["voice"], text, how["speed"], store)
    if not SHORTEST <= len(x) / RATE <= LONGEST:
        target.with_suffix(".skipped").touch()
        return
    audio.encode(_transmit(x, how, index), target)


def _row(index: int, kind: str, text: str, path: str) -> dict[str, Any]:
    how = _choices(index)
    return {
        "id": f"synth-{index:05d}",
        "audio": path,
        "text": text,
        "group": f"tts_{how['engine']}_{how['voice']}",
        "license": TEXT_LICENSE.get(kind, "GPL-2.0-or-later" if kind == "caption" else "Apache-2.0"),
        "source": f"synthetic: {kind} text",
        **how,
    }


def synthesise(
    store: Store, folder: Path, prompts: Sequence[str], test_texts: Collection[str], count: int = COUNT
) -> int:
    """Speak `count` planned utterances into `folder`, resuming an earlier run; returns the rows written."""
    found: list[dict[str, Any]] = []
    made = 0
    for index, (kind, text) in enumerate(texts.plan(store, prompts, test_texts, count)):
        path = f"audio/{index // 1000:02d}/synth-{index:05d}.opus"
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() and not target.with_suffix(".skipped").exists():
            _make(index, text, target, store)
            made += 1
        if target.exists():
            found.append(_row(index, kind, text, path))
        if made and index % 500 == 499:  # a first run can be used before it has ended
            rows.write_jsonl(folder / "train.jsonl", found)
            print(f"speech_synth: {len(found)} utterances", flush=True)
    rows.write_jsonl(folder / "train.jsonl", found)
    return len(found)

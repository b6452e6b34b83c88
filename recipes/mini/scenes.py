"""Clips made of several recordings: joined takes, mixtures and sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recipes.mini import audio
from recipes.mini.audio import RATE, Wave
from recipes.mini.packages import sha256_file
from recipes.mini.rows import MANIFESTS, Clip, write_jsonl

GAP = 0.15
PAUSE = 0.35


@dataclass(frozen=True)
class Event:
    """One sound event: a class and the takes that are joined for it. All takes have one licence."""

    label: str
    group: str
    takes: tuple[Clip, ...]

    @property
    def license(self) -> str:
        return self.takes[0].license


@dataclass(frozen=True)
class Scene:
    """One captioned clip; `kind` is "single", "overlap" (both at once) or "sequence" (one, then the other)."""

    id: str
    kind: str
    events: tuple[Event, ...]
    captions: tuple[str, ...]

    @property
    def takes(self) -> list[Clip]:
        return [take for event in self.events for take in event.takes]


def _from_onset(x: Wave, seconds: float) -> Wave:
    """The first `seconds` from where the sound begins, with a short fade at a cut."""
    loud = np.flatnonzero(np.abs(x) > 0.03 * np.abs(x).max(initial=1e-9))
    start = max(0, int(loud[0]) - RATE // 50) if loud.size else 0
    cut = x[start : start + int(seconds * RATE)].copy()
    if start + len(cut) < len(x):
        fade = min(len(cut), RATE // 10)
        cut[len(cut) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return cut


def _level(x: Wave) -> Wave:
    """The same sound at -23 dB RMS, peaks below full scale."""
    y = x * (0.07 / (float(np.sqrt(np.mean(x**2))) + 1e-9))
    return np.asarray(y / max(1.0, float(np.abs(y).max()) / 0.95), dtype=np.float32)


def _event_wave(event: Event, seconds: float) -> Wave:
    gap = np.zeros(int(GAP * RATE), dtype=np.float32)
    pieces: list[Wave] = []
    for take in event.takes:
        pieces += [audio.load(take.file), gap]
    return _level(_from_onset(np.concatenate(pieces[:-1]), seconds))


def render(scene: Scene, longest: float) -> Wave:
    """The clip of a scene, at most `longest` seconds."""
    if scene.kind == "single":
        return _event_wave(scene.events[0], longest)
    if scene.kind == "sequence":
        first, second = (_event_wave(e, (longest - PAUSE) / 2) for e in scene.events)
        return np.concatenate([first, np.zeros(int(PAUSE * RATE), dtype=np.float32), second])
    first, second = (_event_wave(e, longest) for e in scene.events)
    mixed = np.zeros(max(len(first), len(second)), dtype=np.float32)
    for x in (first, second):  # the shorter one sits in the middle of the longer one
        start = (len(mixed) - len(x)) // 2
        mixed[start : start + len(x)] += x
    return _level(mixed)


def data_row(scene: Scene) -> dict[str, Any]:
    """The row that tasks and training read."""
    sources = (f"{t.package.name} {t.package.version}: {t.path}" for t in scene.takes)
    return {
        "id": scene.id,
        "audio": f"audio/{scene.id}.opus",
        "captions": list(scene.captions),
        "kind": scene.kind,
        "labels": [e.label for e in scene.events],
        "group": "+".join(sorted({e.group for e in scene.events})),
        "license": scene.events[0].license,
        "source": "; ".join(sources),
    }


def manifest_row(scene: Scene) -> dict[str, Any]:
    """The row that says where a clip came from."""
    row = data_row(scene)
    sources = [
        {
            "package": t.package.name,
            "version": t.package.version,
            "path": t.path,
            "sha256": sha256_file(t.file),
            "license": t.license,
        }
        for t in scene.takes
    ]
    kept = {k: row[k] for k in ("id", "kind", "labels", "group", "license")}
    return kept | {"sources": sources}


def write_split(task: str, split: str, scenes: Sequence[Scene], folder: Path, longest: float) -> None:
    """Write audio, `<split>.jsonl` and the manifest of one split."""
    scenes = sorted(scenes, key=lambda s: s.id)
    wanted = {f"{s.id}.opus" for s in scenes}
    for stale in (folder / "audio").glob("*.opus"):
        if stale.name not in wanted:
            stale.unlink()
    for scene in scenes:
        target = folder / "audio" / f"{scene.id}.opus"
        if not target.exists():
            audio.encode(render(scene, longest), target)
    write_jsonl(folder / f"{split}.jsonl", map(data_row, scenes))
    write_jsonl(MANIFESTS / f"{task}.{split}.jsonl", map(manifest_row, scenes))

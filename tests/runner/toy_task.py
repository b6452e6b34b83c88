"""Toy data sets of real audio files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from evalkit.tasks.schema import MetricSpec, Task, TaskMeta


def write_clip(path: Path, seed: int, seconds: float | None = None) -> None:
    """Noise of its own, 20 to 100 ms long."""
    rng = np.random.default_rng(seed)
    length = int(16_000 * (seconds if seconds is not None else 0.02 + 0.01 * (seed * 7 % 9)))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, rng.uniform(-0.5, 0.5, length).astype(np.float32), 16_000)


def rows_of(n: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"clip-{index:03d}",
            "audio": f"clips/{index:03d}.wav",
            "text": f"word{index}",
            "voice": f"v{index % 3}",
        }
        for index in range(n)
    ]


def write_rows(folder: Path, rows: list[dict[str, Any]]) -> None:
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "test.jsonl").write_text("".join(lines), encoding="utf-8")


def toy_task(folder: Path, n: int = 0, **changes: Any) -> Task:
    """A task over `folder/test.jsonl`; with `n` the data is written too."""
    folder.mkdir(parents=True, exist_ok=True)
    if n:
        for index in range(n):
            write_clip(folder / "clips" / f"{index:03d}.wav", index)
        write_rows(folder, rows_of(n))
    task = Task(
        name="toy",
        path=folder / "toy.yaml",
        dataset_path="test.jsonl",
        doc_to_text="Say {{ voice }}.",
        doc_to_target="text",
        metrics=(MetricSpec("wer"),),
        meta=TaskMeta(cluster="voice", slices=("voice",)),
    )
    return replace(task, **changes)

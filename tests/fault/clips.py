"""A small data set of real clips and a model in this process that misbehaves as a test wants."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from parrots import write_task

from evalkit.model import ModelInfo, Prepared, Request, Response
from evalkit.tasks import load_task
from evalkit.tasks.schema import Task


def write_clips(folder: Path, count: int) -> Path:
    """`count` clips of their own lengths, their table, and the task over them, whose path is returned."""
    (folder / "data").mkdir(parents=True)
    rows = []
    for number in range(count):
        noise = np.random.default_rng(number).uniform(-0.3, 0.3, 800 + 40 * number).astype(np.float32)
        soundfile.write(folder / "data" / f"{number}.wav", noise, 16_000)
        rows.append({"id": f"s{number}", "audio": f"{number}.wav", "text": "one two"})
    (folder / "data/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return write_task(folder / "spoken.yaml", "data")


def clips_task(folder: Path, count: int) -> Task:
    return load_task(write_clips(folder, count))


@dataclass
class Ours:
    """before: called with every batch before it is answered."""

    before: Callable[[Sequence[Prepared]], None] = lambda batch: None
    asked: list[str] = field(default_factory=list)

    @property
    def info(self) -> ModelInfo:
        return ModelInfo("ours", "o" * 64, "cpu", "float32", 1, 1)

    def prepare(self, request: Request) -> Prepared:
        return Prepared(request, len(request.audios[0].samples), 1)

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        self.before(batch)
        self.asked += [one.request.sample_id for one in batch]
        return [Response(text=f"length {one.payload}") for one in batch]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        raise NotImplementedError

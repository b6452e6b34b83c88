"""Tiny real models on real clips: each says the right word, except on the clips that it gets wrong."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from evalkit.evaluation import evaluate
from evalkit.leaderboard.comparison import Comparison, TaskComparison, compare
from evalkit.leaderboard.stored import find_arms
from evalkit.model import ModelInfo, Prepared, Request, Response
from evalkit.runner import RunSettings
from evalkit.tasks.schema import MetricSpec, Task, TaskMeta

N = 24


@dataclass(frozen=True)
class Talker:
    """wrong: numbers of the clips it answers wrongly; fails: those it cannot answer, and how it says so."""

    name: str
    wrong: Collection[int] = ()
    fails: Collection[int] = ()
    complaint: str = "no answer"
    word: str = "word{}"
    source: str = "made for the test"

    @property
    def info(self) -> ModelInfo:
        sources = {"weights": self.source}
        return ModelInfo(self.name, f"weights of {self.name}", "cpu", "float32", 300, 200, sources)

    def prepare(self, request: Request) -> Prepared:
        return Prepared(request, None, cost=1)

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        return [self._answer(int(one.request.sample_id.rpartition("-")[2])) for one in batch]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        raise NotImplementedError

    def _answer(self, number: int) -> Response:
        if number in self.fails:
            return Response(finish_reason="error", error=self.complaint)
        text = "something else" if number in self.wrong else self.word.format(number)
        return Response(text=text, input_tokens=3, output_tokens=2)


def write_clips(folder: Path, n: int = N) -> None:
    folder.mkdir(parents=True)
    lines = []
    for number in range(n):
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, 320 + 160 * number).astype(np.float32)
        soundfile.write(folder / f"{number}.wav", noise, 16_000)
        row = f'"id": "clip-{number:03d}", "audio": "{number}.wav", "text": "word{number}"'
        lines.append(f'{{{row}, "voice": "v{number % 12}", "language": "{"en" if number % 2 else "de"}"}}\n')
    (folder / "test.jsonl").write_text("".join(lines))


def transcription(folder: Path) -> Task:
    """WER and CER over single clips."""
    return Task(
        name="words",
        path=folder / "words.yaml",
        dataset_path="test.jsonl",
        doc_to_text="Say it.",
        doc_to_target="text",
        metrics=(MetricSpec("wer"), MetricSpec("cer")),
        meta=TaskMeta(family="asr", side="semantic", license="CC0-1.0", slices=("language",)),
    )


def naming(folder: Path) -> Task:
    """Accuracy over clips of twelve voices."""
    return Task(
        name="names",
        path=folder / "names.yaml",
        dataset_path="test.jsonl",
        doc_to_text="Name it.",
        doc_to_target="text",
        metrics=(MetricSpec("accuracy"),),
        meta=TaskMeta(family="speaker", side="paralinguistic", license="CC-BY-4.0", cluster="voice"),
    )


def run(model: Talker, task: Task, output: Path, **settings: object) -> Path:
    """Run and score; the run's folder."""
    return evaluate(model, task, RunSettings(output, **settings)).run.folder  # type: ignore[arg-type]


def compared(runs: Path, *arms: str, by: tuple[str, ...] = (), tasks: tuple[str, ...] = ()) -> Comparison:
    return compare(find_arms(arms or ("dense", "moe"), [runs], tasks=tasks), by=by)


def the_task(comparison: Comparison, name: str) -> TaskComparison:
    [task] = [task for task in comparison.pairs[0].tasks if task.task == name]
    return task

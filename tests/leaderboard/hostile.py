"""A run whose data and answers try to break out of the page that shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from evalkit.model import ModelInfo, Prepared, Request, Response
from evalkit.tasks.schema import MetricSpec, Task, TaskMeta

SCRIPT = "<script>document.title='broken'</script>"
QUOTES = "\"'><img src=x onerror=\"document.title='broken'\">"
OVERRIDE = "\u202ednas\u202c"
ESCAPE = "\x1b[31mred\x07"
LONG = "word " * 3_000

SPOKEN = {
    "exact": "the quick brown fox",
    "edited": "one two three four five",
    f"id-{SCRIPT}": "plain words",
    "quotes": f"say {QUOTES} now",
    "override": f"left {OVERRIDE} right",
    "control": "a b c",
    "empty": "nothing is said",
    "failed": "it fails",
    "long": "word word",
    "surrogate": "half a pair",
}
SAID = {
    "exact": "the quick brown fox",
    "edited": "one three for five six",
    f"id-{SCRIPT}": f"plain {SCRIPT}",
    "quotes": f"{QUOTES}",
    "override": f"left {OVERRIDE} wrong",
    "control": ESCAPE,
    "empty": "  ",
    "long": LONG,
    "surrogate": "half \ud83d pair",
}
REASON = f"RuntimeError: {SCRIPT}"


@dataclass(frozen=True)
class Says:
    """Answers by the sample's id; for one that is not among them it fails."""

    name: str
    answers: Mapping[str, str]

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(self.name, "says", "cpu", "float32", 2_000_000, 1_500_000)

    def prepare(self, request: Request) -> Prepared:
        return Prepared(request, None, cost=1)

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        return [self._answer(one.request.sample_id) for one in batch]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        logprobs = [
            tuple(
                -1.0 if choice == self.answers[one.request.sample_id] else -2.5
                for choice in one.request.choices
            )
            for one in batch
        ]
        return [Response(choice_logprobs=found, finish_reason="choices") for found in logprobs]

    def _answer(self, name: str) -> Response:
        if name not in self.answers:
            return Response(finish_reason="error", error=REASON)
        return Response(text=self.answers[name], input_tokens=3, output_tokens=4)


def write_speech(folder: Path) -> Task:
    """Ten clips of noise from 0.4 s to 2.2 s with the texts above."""
    folder.mkdir(parents=True)
    rows = []
    for number, (name, text) in enumerate(SPOKEN.items()):
        seconds = 0.4 + 0.2 * number
        noise = np.random.default_rng(number).uniform(-0.3, 0.3, int(16_000 * seconds)).astype(np.float32)
        soundfile.write(folder / f"{number}.wav", noise, 16_000)
        language = "de" if number % 2 else SCRIPT
        rows.append({"id": name, "audio": f"{number}.wav", "text": text, "language": language})
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Task(
        name="speech",
        path=folder / "speech.yaml",
        dataset_path="test.jsonl",
        doc_to_text="Transcribe.",
        doc_to_target="text",
        metrics=(MetricSpec("wer"),),
        meta=TaskMeta(family="asr", side="semantic", summary=f"Speech {SCRIPT}", slices=("language",)),
    )


FELT = ("joy", "joy", "joy", "anger", "anger", "fear", "fear", "fear")
HEARD = ("joy", "joy", "fear", "anger", "joy", "fear", "fear", "I am not sure")


def write_feelings(folder: Path, **changes: object) -> Task:
    """Eight clips of three feelings."""
    folder.mkdir(parents=True)
    rows = []
    for number, label in enumerate(FELT):
        soundfile.write(folder / f"{number}.wav", np.full(1600 + number, 0.1, np.float32), 16_000)
        rows.append({"id": f"clip{number}", "audio": f"{number}.wav", "label": label})
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given: dict[str, object] = {
        "doc_to_choice": ("anger", "fear", "joy"),
        "metrics": (MetricSpec("accuracy"), MetricSpec("uar")),
        **changes,
    }
    return Task(
        name="feelings",
        path=folder / "feelings.yaml",
        dataset_path="test.jsonl",
        doc_to_text="What is felt?",
        doc_to_target="label",
        **given,  # type: ignore[arg-type]
    )

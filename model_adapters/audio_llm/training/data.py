"""Training examples: the tasks' own prompts and targets over the recipe's clips."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from evalkit.data import open_samples
from evalkit.model import Audio
from evalkit.tasks import find_tasks
from evalkit.tasks.prompts import build_request
from evalkit.tasks.schema import AudioRef, Sample, Task
from model_adapters.audio_llm.projector import stack_frames
from model_adapters.audio_llm.prompt import Segment, render
from model_adapters.audio_llm.training.recipe import DataSource, Recipe

_NO_SAMPLES = np.zeros(0, dtype=np.float32)
_LONGEST_SPAN = 3


@dataclass(frozen=True, slots=True)
class Example:
    """audios: what the prompt's places stand for; segments: the prompt; answer: token ids with the end of
    turn; spoken: token ids for CTC; family: of the task."""

    source: int
    task: str
    audios: tuple[AudioRef, ...]
    segments: tuple[Segment, ...]
    answer: tuple[int, ...]
    spoken: tuple[int, ...]
    family: str = ""


def read_examples(
    sources: Sequence[DataSource], folder: Path, tokenizer: Any, template: str | None
) -> list[Example]:
    """Raises ValueError when a task or a file is not there."""
    catalog = find_tasks()
    examples: list[Example] = []
    for index, source in enumerate(sources):
        path = folder / source.path
        if not path.exists():
            raise ValueError(
                f"training data {source.path} is not in {folder}: "
                f"build it with `python -m recipes.mini.build --cache {folder}`"
            )
        task, *more = catalog.resolve(source.task)
        if more:
            names = ", ".join(one.name for one in (task, *more))
            raise ValueError(
                f"training data {source.path}: {source.task!r} means several tasks; name one of {names}"
            )
        clips = replace(task, path=path, dataset_path=path.name, test_split="train")
        encode = _encoder(tokenizer, task, template)
        found = _speaking_all([encode(index, sample) for sample in open_samples(clips)])
        if not found:
            raise ValueError(
                f"training data {path} has no samples; take it out of the recipe or build it again"
            )
        examples += found
    return examples


def _speaking_all(examples: Sequence[Example]) -> list[Example]:
    """A clip that several questions are asked about speaks all its answers: CTC hears no question."""
    spoken: dict[tuple[AudioRef, ...], tuple[int, ...]] = {}
    for example in examples:
        spoken[example.audios] = spoken.get(example.audios, ()) + example.spoken
    return [replace(example, spoken=spoken[example.audios]) for example in examples]


def _encoder(tokenizer: Any, task: Task, template: str | None) -> Callable[[int, Sample], Example]:
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")

    def encode(source: int, sample: Sample) -> Example:
        silence = Audio(samples=_NO_SAMPLES, rate=16_000, sha256="")
        request = build_request(task, sample, (silence,) * len(sample.audios), "real")
        spoken = spoken_form(sample.references[0])
        answer = sample.references[0] if sample.choices else spoken
        return Example(
            source=source,
            task=task.name,
            audios=sample.audios,
            segments=render(tokenizer, request.messages, template),
            answer=(*tokenizer(answer, add_special_tokens=False).input_ids, end),
            spoken=tuple(tokenizer(" " + spoken, add_special_tokens=False).input_ids),
            family=task.meta.family,
        )

    return encode


def spoken_form(text: str) -> str:
    """Lower case without punctuation: what can be heard, and fewer tokens to learn."""
    return " ".join(re.sub(r"[^\w' ]+", " ", text.lower().replace("’", "'")).split())


@dataclass(frozen=True, slots=True)
class Mixture:
    """shares: weight of each source; members: its examples, grouped by answer where it is balanced."""

    shares: tuple[float, ...]
    members: tuple[tuple[tuple[int, ...], ...], ...]

    def draw(self, size: int, seed: str) -> list[int]:
        """Indices of one batch. A pure function of the seed, so that a resumed run sees the same batches."""
        rng = random.Random(seed)  # noqa: S311
        chosen = rng.choices(self.members, weights=self.shares, k=size)
        return [rng.choice(rng.choice(groups)) for groups in chosen]


def mixture(sources: Sequence[DataSource], examples: Sequence[Example], shares: Sequence[float]) -> Mixture:
    """Examples by their source's share, which may be 0."""
    groups: list[dict[tuple[int, ...], list[int]]] = [{} for _ in sources]
    for index, example in enumerate(examples):
        key = example.answer if sources[example.source].balanced else ()
        groups[example.source].setdefault(key, []).append(index)
    return Mixture(tuple(shares), tuple(tuple(tuple(g) for g in found.values()) for found in groups))


def projector_input(recipe: Recipe, states: Sequence[Tensor], step: str) -> list[Tensor]:
    """Stacked states [tokens, d * stack] of each clip; with `dropped_frames`, short spans are blanked.

    Spans are up to 3 tokens (0.24 s). A pure function of seed and step.
    """
    frames = [stack_frames(s.float(), recipe.projector.stack) for s in states]
    if not recipe.dropped_frames:
        return frames
    frames = [clip.clone() for clip in frames]
    rng = np.random.default_rng([recipe.seed, *step.encode()])
    for clip in frames:
        spans = rng.binomial(len(clip), recipe.dropped_frames / ((1 + _LONGEST_SPAN) / 2))
        starts, lengths = rng.integers(len(clip), size=spans), rng.integers(1, _LONGEST_SPAN + 1, size=spans)
        for start, length in zip(starts, lengths, strict=True):
            clip[start : start + length] = 0
    return frames


def thin_out(clips: Sequence[Tensor], least: float, seed: int, step: str) -> list[Tensor]:
    """A random share of each clip's tokens [n, d] between `least` and all, in order, and never none.

    A pure function of seed and step.
    """
    rng = np.random.default_rng([seed, *step.encode()])
    thinned = []
    for clip in clips:
        count = max(1, round(len(clip) * rng.uniform(least, 1)))
        thinned.append(clip[np.sort(rng.choice(len(clip), count, replace=False))])
    return thinned

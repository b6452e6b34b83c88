"""What a task knows about a sample and does not ask."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from evalkit.model import AudioSetting, HintName, Hints
from evalkit.tasks.schema import Sample, Task


def hints_of(task: Task, sample: Sample, audio: AudioSetting, names: Collection[HintName]) -> Hints:
    """The hints that are named; the others stay empty."""
    known: dict[HintName, Any] = {
        "options": sample.choices,
        "majority": task.meta.majority,
        "transcripts": _transcripts(task, sample) if audio == "real" else (),
        "language": task.meta.language,
    }
    return Hints(**{name: known[name] for name in names})


def _transcripts(task: Task, sample: Sample) -> tuple[str, ...]:
    """What is said in the sample's own recordings, unless that would give the answer away."""
    value = sample.fields.get(task.meta.transcript) if task.meta.transcript else None
    if value is None or value == "":
        return ()
    said = tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)
    return () if set(said) & set(sample.references) else said

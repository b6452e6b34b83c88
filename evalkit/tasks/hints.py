"""What a task knows about a sample and does not ask."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from evalkit.model import AudioSetting, HintName, Hints
from evalkit.tasks.schema import Sample, Task
from evalkit.tasks.templates import is_template, render


def hints_of(task: Task, sample: Sample, audio: AudioSetting, names: Collection[HintName]) -> Hints:
    """The hints that are named; the others stay empty."""
    known: dict[HintName, Any] = {
        "options": sample.choices,
        "majority": _majority(task, sample),
        "transcripts": _transcripts(task, sample) if audio == "real" else (),
        "language": task.meta.language,
    }
    return Hints(**{name: known[name] for name in names})


def _majority(task: Task, sample: Sample) -> str:
    """`metadata.evalkit.majority`, which may be a template: a task of several questions has a majority each."""
    if not is_template(task.meta.majority):
        return task.meta.majority
    where = f"task {task.name}, sample {sample.id}"
    fields = {**sample.fields, **({"choices": list(sample.choices)} if sample.choices else {})}
    return render(task.meta.majority, "metadata.evalkit.majority", fields, where)


def _transcripts(task: Task, sample: Sample) -> tuple[str, ...]:
    """What is said in the sample's own recordings, unless that would give the answer away."""
    value = sample.fields.get(task.meta.transcript) if task.meta.transcript else None
    if value is None or value == "":
        return ()
    said = tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)
    return () if set(said) & set(sample.references) else said

"""What a task's data holds, and what is wrong with it: behind `evalkit tasks show` and `validate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from evalkit.data.audio import content_sha256
from evalkit.data.opening import AudioError, duration
from evalkit.data.sources import SampleSource, open_samples
from evalkit.model import AudioSlot, Message
from evalkit.tasks.prompts import build_messages
from evalkit.tasks.schema import Sample, Task

MAX_CLASSES = 64


def validate(task: Task, more: Callable[[Task], Iterable[str]] | None = None, *, most: int = 20) -> list[str]:
    """Problems of a task, none if it can be run: data, every prompt, target and choice, every audio header.

    more: further checks of the task, such as whether its metrics exist. At most `most` problems are listed,
    then one line says how many there are.
    """
    problems = list(more(task)) if more is not None else []
    try:
        source = open_samples(task)
    except (ValueError, OSError) as error:
        return [*problems, str(error)]
    for index in range(len(source)):
        problems.extend(_sample_problems(source, index))
    if len(problems) > most:
        problems[most:] = [f"and {len(problems) - most} more"]
    return problems


def _sample_problems(source: SampleSource, index: int) -> list[str]:
    where, task = source.where(index), source.task
    try:
        sample = source.sample(index)
        build_messages(task, sample, len(sample.audios))
    except (ValueError, OSError) as error:
        return [str(error)]
    problems = [f"{where}: the reference is empty" for text in sample.references if not text.strip()]
    outside = [text for text in sample.references if sample.choices and text not in sample.choices]
    problems += [f"{where}: the target {text!r} is none of the choices" for text in outside]
    if len(set(sample.choices)) < len(sample.choices):
        problems.append(f"{where}: a choice is given twice")
    return problems + [_audio_problem(audio, where) for audio in sample.audios if duration(audio) == 0]


def _audio_problem(audio: Any, where: str) -> str:
    try:
        content_sha256(audio)
    except AudioError as error:
        return f"{where}: {error}"
    return f"{where}: audio {audio.name!r}: its header cannot be read"


def describe(task: Task) -> dict[str, Any]:
    """What is in a task, as plain data: counts, length, classes, chance level, licences clip by clip.

    chance: accuracy of a uniform guess among the choices; majority_share: of the most frequent answer.
    Both are None for tasks without choices. Raises ValueError or OSError for data that cannot be read.
    """
    source = open_samples(task)
    classes: Counter[str] = Counter()
    licenses: Counter[str] = Counter()
    clusters: set[str] = set()
    seconds = chance = 0.0
    with_choices = 0
    for sample in source:
        classes[sample.references[0]] += 1
        licenses[str(sample.fields.get("license") or task.meta.license or "not stated")] += 1
        clusters.add(sample.cluster)
        seconds += sample.seconds
        if sample.choices:
            with_choices += 1
            chance += 1 / len(sample.choices)
    n = len(source)
    few = with_choices == n and len(classes) <= MAX_CLASSES
    return {
        "task": task.name,
        "version": task.version,
        "summary": task.meta.summary,
        "status": task.meta.status,
        "path": str(task.path),
        "family": task.meta.family,
        "side": task.meta.side,
        "language": task.meta.language,
        "tags": list(task.tags),
        "groups": list(task.groups),
        "metrics": [spec.metric for spec in task.metrics],
        "output_type": task.output_type,
        "n": n,
        "minutes": round(seconds / 60, 2),
        "clusters": len(clusters) if task.meta.cluster else 0,
        "classes": dict(classes.most_common()) if few else {},
        "chance": chance / n if with_choices == n else None,
        "majority_share": classes.most_common(1)[0][1] / n if few else None,
        "licenses": dict(licenses.most_common()),
        "prompt": _shown(task, source[0]),
    }


def _shown(task: Task, sample: Sample) -> str:
    messages = build_messages(task, sample, len(sample.audios))
    return "\n".join(f"{message.role}: {_text(message)}" for message in messages)


def _text(message: Message) -> str:
    return "".join("<audio>" if isinstance(part, AudioSlot) else part for part in message.content)

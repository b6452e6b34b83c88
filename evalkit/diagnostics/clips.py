"""The clips that a diagnosis looks at: some samples of each task, evenly spread, asked as a run asks them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from evalkit.data import open_samples
from evalkit.inside import Supervised
from evalkit.model import Model, Prepared, Request
from evalkit.runner import Preparation
from evalkit.runner.items import work_items
from evalkit.tasks.schema import Sample, Task

BATCH = 8

Say = Callable[[str], None]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Clip:
    """One sample, prepared for a model.

    label: its answer where the task offers answers to choose from, "" for open answers; unit: what it must
    be kept together with when clips are exchanged or split (the task's cluster).
    """

    task: str
    family: str
    language: str
    label: str
    unit: str
    supervised: Supervised

    @property
    def prepared(self) -> Prepared:
        return self.supervised.prepared


def spread(count: int, limit: int | None) -> list[int]:
    """`limit` of the numbers below `count`, evenly spread, so that data sorted by class show every class."""
    if limit is None or limit >= count:
        return list(range(count))
    return [index * count // limit for index in range(limit)]


def spread_samples(task: Task, limit: int | None) -> list[Sample]:
    found = open_samples(task)
    return [found[index] for index in spread(len(found), limit)]


def requests(task: Task, samples: Sequence[Sample]) -> list[Request]:
    """What a run with real audio asks of these samples. ValueError for one that cannot be asked."""
    preparation = Preparation(task, samples, "real")
    return [preparation.request(item) for item in work_items(task, samples, "real", 0) if not item.key[1]]


def clips(model: Model, tasks: Sequence[Task], limit: int | None) -> list[Clip]:
    """Clips of every task, prepared for `model`, tasks one after the other.

    ValueError names a sample that cannot be read: a diagnosis has no place for errors to be counted in.
    """
    found: list[Clip] = []
    for task in tasks:
        samples = spread_samples(task, limit)
        for sample, request in zip(samples, requests(task, samples), strict=True):
            found.append(_clip(task, sample, model.prepare(request)))
    return found


def _clip(task: Task, sample: Sample, prepared: Prepared) -> Clip:
    answer = sample.references[0]
    return Clip(
        task=task.name,
        family=task.meta.family or task.name,
        language=str(sample.fields.get("language") or task.meta.language),
        label=answer if sample.choices else "",
        unit=f"{task.name}/{sample.cluster or sample.id}",
        supervised=Supervised(prepared, answer, closed=bool(sample.choices)),
    )


def batches(items: Sequence[Item], size: int = BATCH) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]

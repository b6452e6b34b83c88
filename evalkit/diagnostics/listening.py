"""Clips and what a projector made of them, in groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evalkit.diagnostics.clips import Clip, Say, batches
from evalkit.inside import Projection, Projects

GROUPINGS = ("task", "family", "language", "label")


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """A clip and what the projector made of it."""

    clip: Clip
    projection: Projection


def listen(model: Projects, found: Sequence[Clip], say: Say) -> list[Heard]:
    """Every clip with audio through the projector, read out."""
    heard: list[Heard] = []
    for batch in batches(found):
        made = model.project([clip.prepared for clip in batch])
        heard += [Heard(*pair) for pair in zip(batch, made, strict=True) if len(pair[1].embeddings)]
        say(f"{len(heard)} of {len(found)} clips read out")
    if not heard:
        raise ValueError("the tasks have no audio, so the projector has nothing to do")
    return heard


def groups_of(heard: Sequence[Heard]) -> Iterator[tuple[str, str, list[Heard]]]:
    """(grouping, value, members): everything, then by task, family, language and label."""
    yield "all", "", list(heard)
    for grouping in GROUPINGS:
        members: dict[str, list[Heard]] = {}
        for one in heard:
            value = getattr(one.clip, grouping)
            key = f"{one.clip.task}: {value}" if grouping == "label" and value else value
            if key:
                members.setdefault(key, []).append(one)
        if len(members) > 1 or grouping == "task":
            yield from ((grouping, value, found) for value, found in members.items())

"""Keep one copy of each recording within a split, and no test recording in training."""

from __future__ import annotations

from collections.abc import Sequence

from recipes.mini import audio, near
from recipes.mini.rows import Clip


def deduplicate(test: Sequence[Clip], train: Sequence[Clip]) -> tuple[list[Clip], list[Clip]]:
    """(test, train) without repeated recordings; two copies with different labels are both dropped."""
    clips = [*sorted(test, key=lambda c: c.id), *sorted(train, key=lambda c: c.id)]
    pairs = near.same_pairs([audio.load(c.file) for c in clips])
    dropped: set[int] = set()
    for i, j, _ in pairs:
        if i in dropped or j in dropped:
            continue
        dropped.add(j)
        if clips[i].fields.get("label") != clips[j].fields.get("label"):
            dropped.add(i)
    kept = [i not in dropped for i in range(len(clips))]
    cut = len(test)
    return (
        [c for c, k in zip(clips[:cut], kept[:cut], strict=True) if k],
        [c for c, k in zip(clips[cut:], kept[cut:], strict=True) if k],
    )

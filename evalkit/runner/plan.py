"""Which samples go through the model together: a pure function of their lengths."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

FRAMES_PER_SECOND = 12.5
CHARACTERS_PER_TOKEN = 4.0

Plan = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class BatchBudget:
    """What a batch may hold.

    samples: at most this many; length: at most this much when all are padded to the longest;
    window: how many samples ahead, in file order, are sorted by length to form batches.
    """

    samples: int
    length: float = math.inf
    window: int = 512


def budget_for(batch_size: int | Literal["auto"], device: str) -> BatchBudget:
    """A fixed number of samples, or (`auto`) as many padded tokens as suit the kind of device.

    ValueError for a batch size below 1.
    """
    if batch_size == "auto":
        return BatchBudget(128, 32_768.0) if device.startswith("cuda") else BatchBudget(16, 4_096.0)
    if batch_size < 1:
        raise ValueError(f"batch size must be at least 1 or 'auto', not {batch_size}")
    return BatchBudget(batch_size, window=max(512, 8 * batch_size))


def estimated_length(seconds: float, characters: int, new_tokens: int) -> float:
    """Length in LLM tokens before anything is decoded: audio frames, text and the longest answer."""
    return seconds * FRAMES_PER_SECOND + characters / CHARACTERS_PER_TOKEN + new_tokens


def plan_batches(lengths: Sequence[float], budget: BatchBudget, groups: Sequence[Hashable] = ()) -> Plan:
    """Split indices 0..n-1 into batches: every index once, longest first within each look-ahead window.

    groups: indices of one group (None: a group of its own) stand side by side where their longest belongs, and
    in one batch if it holds them all: questions about one recording share the work on it. Depends on nothing
    but its arguments; equal lengths keep their order. A sample that is longer than the budget gets a batch of
    its own.
    """
    batches: list[tuple[int, ...]] = []
    for start in range(0, len(lengths), budget.window):
        window = range(start, min(start + budget.window, len(lengths)))
        together: dict[Hashable, list[int]] = {}
        for index in window:
            group = groups[index] if groups else None
            together.setdefault(("alone", index) if group is None else ("group", group), []).append(index)
        runs = [sorted(members, key=lambda index: -lengths[index]) for members in together.values()]
        batches.extend(_fill(sorted(runs, key=lambda run: -lengths[run[0]]), lengths, budget))
    return tuple(batches)


def _fill(
    runs: Sequence[Sequence[int]], lengths: Sequence[float], budget: BatchBudget
) -> list[tuple[int, ...]]:
    """runs: each with its longest first."""

    def fits(samples: int, longest: float) -> bool:
        return samples <= budget.samples and samples * longest <= budget.length

    batches: list[list[int]] = [[]]
    longest = 0.0
    for run in runs:
        first = lengths[run[0]]
        held = len(batches[-1])
        if held and fits(len(run), first) and not fits(held + len(run), max(longest, first)):
            batches.append([])
            longest = 0.0
        for index in run:
            longest = max(longest, lengths[index])
            if batches[-1] and not fits(len(batches[-1]) + 1, longest):
                batches.append([])
                longest = lengths[index]
            batches[-1].append(index)
    return [tuple(batch) for batch in batches if batch]

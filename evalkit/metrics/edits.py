"""Edit rates: total edits over total reference units, which WER and CER share.

Statistics are (errors, reference units). With several references the one with the lowest rate counts
(the first of equals). An answer of None deletes every unit of the longest one; if that is empty
it is still one error, so that a failure never counts as right. An answer to an empty reference is all
insertions. Without a single reference unit the value is the number of errors, as in jiwer 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein

from evalkit.metrics.protocol import Answers, References
from evalkit.stats.reducers import Matrix, Vector, reduce_additive
from evalkit.text import normalize, versioned

Split = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class EditRate:
    """An edit rate, metric and scorer in one: there is nothing to fit."""

    name: str
    split: Split
    normalizer: str
    version: int = 1
    higher_is_better: bool = False

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"normalizer": versioned(self.normalizer)}

    def fit(self, references: References) -> EditRate:
        return self

    def statistics(self, references: References, answers: Answers) -> Matrix:
        normalizer = normalize(self.normalizer)

        def units(text: str) -> Sequence[str]:
            return self.split(normalizer(text))

        rows = [
            _best([units(text) for text in accepted], None if answer is None else units(answer))
            for accepted, answer in zip(references, answers, strict=True)
        ]
        return np.array(rows, dtype=np.float64).reshape(len(rows), 2)

    def reduce(self, statistics: Matrix, weights: Matrix) -> Vector:
        return reduce_additive(self, statistics, weights)

    def totals(self, statistics: Matrix) -> Matrix:
        return statistics

    def value(self, totals: Matrix) -> Vector:
        errors, units = totals[:, 0], totals[:, 1]
        return errors / np.where(units > 0, units, 1.0)


def words(text: str) -> Sequence[str]:
    return text.split()


def characters(text: str) -> str:
    """The text with runs of white space as one space; a space is a character like any other."""
    return " ".join(text.split())


def _best(references: Sequence[Sequence[str]], answer: Sequence[str] | None) -> tuple[int, int]:
    if not references:
        raise ValueError("a sample has no reference")
    if answer is None:
        length = max(len(reference) for reference in references)
        return max(length, 1), length
    counts = [(Levenshtein.distance(reference, answer), len(reference)) for reference in references]
    return min(counts, key=lambda count: count[0] / max(count[1], 1))

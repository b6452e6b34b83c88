"""Class labels and confusion cells, which macro-F1 and UAR share.

The class of a sample is its first reference; the others are accepted spellings of it. Labels are
compared after normalising. Statistics are confusion cells: (row, column), row the class of the
reference, column the class of the answer, or C, "other", for None and for an answer that is no label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.metrics.protocol import Answers, References
from evalkit.stats.reducers import Matrix
from evalkit.text import Normalizer, normalize


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The classes of a task, as normalised labels in sorted order."""

    labels: tuple[str, ...]
    normalizer: str

    def cells(self, references: References, answers: Answers) -> Matrix:
        """Confusion cells [n, 2]. ValueError for a reference that is no label."""
        key = label_key(self.normalizer)
        index = {label: row for row, label in enumerate(self.labels)}
        other = len(self.labels)
        rows = []
        for accepted, answer in zip(references, answers, strict=True):
            row = index.get(key(_first(accepted)))
            if row is None:
                raise ValueError(f"reference {accepted[0]!r} is none of the labels {', '.join(self.labels)}")
            column = other if answer is None else index.get(key(answer), other)
            if answer is not None and key(answer) in {key(text) for text in accepted}:
                column = row
            rows.append((row, column))
        return np.array(rows, dtype=np.float64).reshape(len(rows), 2)

    def totals(self, cells: Matrix) -> Matrix:
        """Per class: hit, in the references, answered. One-hot [n, 3C] from cells [n, 2]."""
        count = len(self.labels)
        columns = np.zeros((len(cells), 3 * count))
        sample = np.arange(len(cells))
        row, column = cells[:, 0].astype(np.int64), cells[:, 1].astype(np.int64)
        hit, answered = row == column, column < count
        columns[sample[hit], row[hit]] = 1
        columns[sample, count + row] = 1
        columns[sample[answered], 2 * count + column[answered]] = 1
        return columns


def label_set(references: References, labels: Sequence[str], normalizer: str) -> LabelSet:
    """The given labels, or else the classes of the references."""
    key = label_key(normalizer)
    found = labels or [_first(accepted) for accepted in references]
    keys = {key(label) for label in found}
    if labels and len(keys) < len(labels):
        raise ValueError(f"normalizer {normalizer} makes two of the labels equal: {', '.join(labels)}")
    return LabelSet(tuple(sorted(keys)), normalizer)


def label_key(normalizer: str) -> Normalizer:
    """What labels are compared by: the normalised text, or the bare one where nothing is left of it."""
    normal = normalize(normalizer)
    return lambda text: normal(text) or text.strip()


def _first(accepted: Sequence[str]) -> str:
    if not accepted:
        raise ValueError("a sample has no reference")
    return accepted[0]

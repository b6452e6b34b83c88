"""Macro-averaged F1 over the classes of the references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalkit.metrics import options as check
from evalkit.metrics.labels import LabelSet, label_set
from evalkit.metrics.protocol import Answers, References
from evalkit.stats.reducers import Matrix, Vector, reduce_additive
from evalkit.text import versioned


@dataclass(frozen=True, slots=True)
class MacroF1Scorer:
    """F1 = 2 hits / (in the references + answered), averaged over the classes that have references.

    In a resample without a class that class does not take part, as if the metric were computed anew.
    """

    labels: LabelSet

    def statistics(self, references: References, answers: Answers) -> Matrix:
        return self.labels.cells(references, answers)

    def reduce(self, statistics: Matrix, weights: Matrix) -> Vector:
        return reduce_additive(self, statistics, weights)

    def totals(self, statistics: Matrix) -> Matrix:
        return self.labels.totals(statistics)

    def value(self, totals: Matrix) -> Vector:
        hits, present, answered = np.split(totals, 3, axis=1)
        f1: Matrix = 2 * hits / np.where(present > 0, present + answered, 1.0)
        mean: Vector = np.where(present > 0, f1, 0.0).sum(axis=1) / (present > 0).sum(axis=1)
        return mean


@dataclass(frozen=True, slots=True)
class MacroF1:
    labels: tuple[str, ...]
    normalizer: str
    name: str = "macro_f1"
    version: int = 1
    higher_is_better: bool = True

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"normalizer": versioned(self.normalizer), "labels": list(self.labels)}

    def fit(self, references: References) -> MacroF1Scorer:
        return MacroF1Scorer(label_set(references, self.labels, self.normalizer))


def macro_f1(options: Mapping[str, Any]) -> MacroF1:
    """Options: labels (default: those of the references), normalizer (default `lower_no_punct`)."""
    check.known("macro_f1", options, ("labels", "normalizer"))
    labels = check.strings("macro_f1", options, "labels")
    return MacroF1(labels, check.normalizer("macro_f1", options, "lower_no_punct"))

"""Unweighted average recall: mean recall over the classes of the references (Schuller et al. 2009)."""

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
class UARScorer:
    """Hits over references by class, averaged over the classes that have references (in the resample)."""

    labels: LabelSet

    def statistics(self, references: References, answers: Answers) -> Matrix:
        return self.labels.cells(references, answers)

    def reduce(self, statistics: Matrix, weights: Matrix) -> Vector:
        return reduce_additive(self, statistics, weights)

    def totals(self, statistics: Matrix) -> Matrix:
        return self.labels.totals(statistics)[:, : 2 * len(self.labels.labels)]

    def value(self, totals: Matrix) -> Vector:
        hits, present = np.split(totals, 2, axis=1)
        recall: Matrix = hits / np.where(present > 0, present, 1.0)
        mean: Vector = recall.sum(axis=1) / (present > 0).sum(axis=1)
        return mean


@dataclass(frozen=True, slots=True)
class UAR:
    labels: tuple[str, ...]
    normalizer: str
    name: str = "uar"
    version: int = 1
    higher_is_better: bool = True

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"normalizer": versioned(self.normalizer), "labels": list(self.labels)}

    def fit(self, references: References) -> UARScorer:
        return UARScorer(label_set(references, self.labels, self.normalizer))


def uar(options: Mapping[str, Any]) -> UAR:
    """Options: labels (default: those of the references), normalizer (default `lower_no_punct`)."""
    check.known("uar", options, ("labels", "normalizer"))
    return UAR(check.strings("uar", options, "labels"), check.normalizer("uar", options, "lower_no_punct"))

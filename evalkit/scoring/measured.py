"""What a metric found on every sample, before it is reduced to a value."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.metrics import Metric, Scorer
from evalkit.stats.reducers import Matrix


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A metric's statistics [n, k] over predictions: what intervals, paired tests and slices start from."""

    metric: Metric
    scorer: Scorer
    statistics: Matrix
    clusters: tuple[str, ...] | None

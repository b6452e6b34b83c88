"""Metrics: one a file, found by name."""

from __future__ import annotations

from evalkit.metrics.catalogue import get, names
from evalkit.metrics.protocol import Answers, Metric, NeedsWeights, ReadsPredictions, References, Scorer

__all__ = ["Answers", "Metric", "NeedsWeights", "ReadsPredictions", "References", "Scorer", "get", "names"]

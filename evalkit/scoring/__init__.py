"""Journal in, result pieces out: extraction, metrics over predictions, intervals. Pure, knows no model."""

from __future__ import annotations

from evalkit.scoring.extraction import extract
from evalkit.scoring.measured import Measured
from evalkit.scoring.score import Scored, measure, score
from evalkit.scoring.score_file import read_predictions, score_file
from evalkit.scoring.spec import ScoringSpec

__all__ = [
    "Measured",
    "Scored",
    "ScoringSpec",
    "extract",
    "measure",
    "read_predictions",
    "score",
    "score_file",
]

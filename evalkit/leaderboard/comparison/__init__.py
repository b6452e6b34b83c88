"""Are two models really different? Paired over the same samples, corrected for asking about many tasks."""

from __future__ import annotations

from evalkit.leaderboard.comparison.compare import compare
from evalkit.leaderboard.comparison.journals import compare_journals
from evalkit.leaderboard.comparison.text import Block, blocks, comparison_json, render_comparison
from evalkit.leaderboard.comparison.types import Comparison, PairComparison, TaskComparison

__all__ = [
    "Block",
    "Comparison",
    "PairComparison",
    "TaskComparison",
    "blocks",
    "compare",
    "compare_journals",
    "comparison_json",
    "render_comparison",
]

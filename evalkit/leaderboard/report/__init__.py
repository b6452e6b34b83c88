"""One run as one page: its samples to listen to, and where it goes wrong."""

from __future__ import annotations

from evalkit.leaderboard.report.answers import StoredAnswers, read_answers
from evalkit.leaderboard.report.page import render_report

__all__ = ["StoredAnswers", "read_answers", "render_report"]

"""The committed records and tables: every number follows from a journal, and no table was edited by hand."""

from __future__ import annotations

from pathlib import Path

from evalkit.leaderboard import build_table, render_markdown, select
from evalkit.leaderboard.publication import verify
from evalkit.leaderboard.stored import find_runs

ROOT = Path(__file__).parents[1]


def test_every_committed_number_follows_from_its_journal() -> None:
    found = verify(ROOT / "results")
    assert [str(finding) for finding in found.findings] == []
    assert found.runs >= 13


def test_the_committed_leaderboard_is_what_the_records_give() -> None:
    results = [run.result for run in find_runs([ROOT / "results"])]
    table = build_table(select(results))
    assert (ROOT / "leaderboards" / "mini.md").read_text(encoding="utf-8") == render_markdown(table, "mini")

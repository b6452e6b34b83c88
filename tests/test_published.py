"""The committed records and tables: every number follows from a journal, and no table was edited by hand."""

from __future__ import annotations

from pathlib import Path

from evalkit.leaderboard import RENDERERS, build_table, select
from evalkit.leaderboard.publication import verify
from evalkit.leaderboard.stored import find_runs

ROOT = Path(__file__).parents[1]


def test_every_committed_number_follows_from_its_journal() -> None:
    found = verify(ROOT / "results")
    assert [str(finding) for finding in found.findings] == []
    assert found.runs >= 13


def test_the_committed_leaderboards_are_what_the_records_give() -> None:
    results = [run.result for run in find_runs([ROOT / "results"])]
    table = build_table(select(results))
    files = sorted((ROOT / "leaderboards").glob("mini.*"))
    assert "mini.md" in [file.name for file in files]
    for file in files:
        assert file.read_text(encoding="utf-8") == RENDERERS[file.suffix](table, file.stem), file.name

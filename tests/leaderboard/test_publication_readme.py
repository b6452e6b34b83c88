"""The commands that a published folder names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from evalkit.leaderboard.publication.readme import commands
from evalkit.leaderboard.stored import StoredRun, find_runs


def made_at(run: StoredRun, revision: str) -> StoredRun:
    provenance = run.result.provenance.model_copy(update={"revision": revision})
    return replace(run, result=run.result.model_copy(update={"provenance": provenance}))


def test_tasks_run_alike_share_a_command_and_revisions_are_named_where_they_differ(runs: Path) -> None:
    found = [run for run in find_runs([runs]) if run.result.model == "moe"]
    tasks = {run.result.task for run in found}
    assert tasks == {"names", "words"}
    (alike,) = commands([made_at(run, "a" * 40) for run in found])
    assert alike.startswith("evalkit run --model moe --tasks names,words ")
    assert "#" not in alike
    apart = commands([made_at(run, ("a" if run.result.task == "names" else "b") * 40) for run in found])
    assert [line.split("   # at ")[1] for line in apart] == ["aaaaaaa", "bbbbbbb"]
    assert [line.split()[5] for line in apart] == ["names", "words"]

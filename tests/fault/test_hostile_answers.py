"""A model that answers with markup, escapes and megabytes: scored, shown and published without harm."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hostile_answers import SCRIPT, answers
from parrots import write_card, write_task
from trials import CONTROLS, Trial, attempt, broken

from evalkit.results import read_journal, read_result

pytestmark = [pytest.mark.fault, pytest.mark.security, pytest.mark.slow]
Survived = Callable[[str, int], None]


@pytest.fixture
def tasks(tmp_path: Path) -> tuple[Path, Path]:
    """One clip asked as often as there are answers: as free text, and for one of two choices."""
    data = tmp_path / "data"
    data.mkdir()
    soundfile.write(data / "clip.wav", np.full(800, 0.1, np.float32), 16_000)
    rows = [{"id": f"a{n:02d}", "audio": "clip.wav", "text": "low"} for n in range(len(answers()))]
    (data / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    accuracy = [{"metric": "accuracy"}, {"metric": "uar"}]
    return (
        write_task(tmp_path / "free.yaml", "data"),
        write_task(tmp_path / "chosen.yaml", "data", doc_to_choice=["low", "high"], metric_list=accuracy),
    )


def test_hostile_answers_are_kept_scored_and_shown(
    tmp_path: Path, site: Path, tasks: tuple[Path, Path], survived: Survived
) -> None:
    said = answers()
    (tmp_path / "says.json").write_text(json.dumps({f"a{n:02d}": text for n, text in enumerate(said)}))
    cards = [write_card(tmp_path / f"{name}.yaml", says_file="says.json") for name in ("parrot", "cockatoo")]
    given = ",".join(map(str, cards)), ",".join(map(str, tasks))
    first = attempt(tmp_path, [Trial("run", ("run", "--model", given[0], "--tasks", given[1]), "fine")], site)
    assert not broken(first)
    work = tmp_path / "work"
    runs = sorted(path.parent for path in work.rglob("result.json"))
    assert len(runs) == 4
    for run in runs:
        kept = [entry.response.text for entry in read_journal(run / "samples.jsonl")]
        assert sorted(kept, key=str) == sorted(said, key=str)
        counts = read_result(run).counts
        assert counts["error"] == 0
        assert counts["empty"] >= 2
        assert sum(counts.values()) == len(said)

    include = ("--include-path", str(tmp_path))
    commands = [("report", str(run), *include, "--samples", "100") for run in runs[:2]]
    commands += [("leaderboard", "--output", f"table{suffix}") for suffix in (".md", ".html", ".csv", ".tex")]
    commands += [("compare", "parrot", "cockatoo"), ("rescore", "parrot", "--normalizer", "whisper_en")]
    commands += [("publish", "--output", "published"), ("verify", "published")]
    assert not broken(attempt(tmp_path, [Trial(command[0], command, "fine") for command in commands], site))
    pages = [path for path in work.rglob("*") if path.suffix in (".html", ".md", ".csv", ".tex")]
    assert len(pages) >= 6
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert SCRIPT not in text
        assert not CONTROLS.search(text)
        if page.suffix == ".html":
            assert "Content-Security-Policy" in text
        if page.suffix == ".csv":
            cells = [cell for row in csv.reader(text.splitlines()) for cell in row]
            assert not [cell for cell in cells if cell.startswith(("=", "@"))]
    survived("hostile inputs: answers of models", len(said))

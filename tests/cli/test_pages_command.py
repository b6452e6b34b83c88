"""`evalkit report` and the pages and LaTeX of `evalkit leaderboard` from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Evalkit = Callable[..., Any]


@pytest.fixture
def folder(evalkit: Evalkit, tones: Path) -> Path:
    """The run folder of `failing_ear`; `good_ear` lies beside it."""
    evalkit("run", "--model", "good_ear,failing_ear", "--tasks", "tones", "--include-path", str(tones))
    return next(Path("runs/failing_ear").iterdir())


def test_a_report_is_written_into_the_run_folder(evalkit: Evalkit, folder: Path, tones: Path) -> None:
    done = evalkit("report", str(folder), "--include-path", str(tones))
    assert (done.code, done.out, done.err) == (0, "", f"written to {folder / 'report.html'}\n")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<audio") == page.count("<article") == 10
    assert "the ear is ⟨U+001B⟩[31mclosed" in page


def test_a_report_without_the_task_has_no_audio_and_says_so(evalkit: Evalkit, folder: Path) -> None:
    page = Path("pages/tones.html")
    assert evalkit("report", str(folder), "--output", str(page), "--samples", "1").code == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("<article") == 3
    assert "<audio" not in text
    assert "the task tones is not known here" in text


def test_a_report_needs_a_run_and_a_page(evalkit: Evalkit, folder: Path) -> None:
    done = evalkit("report", "runs/nothing")
    assert done.code == 2
    assert (
        done.err == "evalkit: runs/nothing: no such folder; give a run folder, runs/MODEL/TASK@FINGERPRINT\n"
    )
    done = evalkit("report", str(folder), "--output", "page.pdf")
    assert (done.code, "its name must end in .html" in done.err) == (2, True)


def test_a_table_is_written_by_the_suffix_of_its_file(evalkit: Evalkit, folder: Path) -> None:
    for name, start in (("t.html", "<!doctype html>"), ("t.tex", "% Written by evalkit"), ("t.md", "# ")):
        done = evalkit("leaderboard", "--output", name)
        assert done.code == 0
        assert Path(name).read_text(encoding="utf-8").startswith(start)


def test_daggers_are_set_against_a_model(evalkit: Evalkit, folder: Path) -> None:
    assert evalkit("leaderboard", "--output", "t.tex", "--against", "good_ear").code == 0
    assert "differs from good\\_ear" in Path("t.tex").read_text(encoding="utf-8")
    done = evalkit("leaderboard", "--output", "t.tex", "--against", "god_ear")
    assert (done.code, "good_ear" in done.err) == (2, True)
    done = evalkit("leaderboard", "--output", "t.md", "--against", "good_ear")
    assert (done.code, "--output NAME.tex" in done.err) == (2, True)

"""LaTeX tables: booktabs, ranks, daggers, and no command from data."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from board import record, records
from talkers import Talker, naming, run

from evalkit.leaderboard import build_table, render_latex, select
from evalkit.leaderboard.latex import escape
from evalkit.leaderboard.significance import compared_with
from evalkit.leaderboard.stored import find_runs


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


def test_models_are_rows_where_they_are_more_than_the_metrics() -> None:
    results = [record(name, "gender", quality) for name, quality in (("a", 0.5), ("b", 0.7), ("c", 0.6))]
    lines = lines_of(render_latex(build_table(results), "mini"))
    start = lines.index("\\toprule")
    assert lines[start + 1 : start + 3] == [
        "& \\multicolumn{2}{c}{gender} \\\\",
        "Model & \\multicolumn{2}{c}{accuracy \\% $\\uparrow$, $n=100$} \\\\",
    ]
    assert lines[start + 4 : start + 7] == [
        "a & 50.0 & \\,{\\scriptsize [45.0, 55.0]} \\\\",
        "b & \\textbf{70.0} & \\,{\\scriptsize [65.0, 75.0]} \\\\",
        "c & \\underline{60.0} & \\,{\\scriptsize [55.0, 65.0]} \\\\",
    ]


def test_tasks_are_rows_where_there_are_more_metrics() -> None:
    table = build_table([record("a", "asr_en", 0.5), record("a", "acted", 0.5)])
    lines = lines_of(render_latex(table, "mini"))
    assert "Task & Metric & $n$ & \\multicolumn{2}{c}{a} \\\\" in lines
    assert [line.partition(" & 100")[0] for line in lines if "scriptsize" in line] == [
        "asr\\_en & WER \\% $\\downarrow$",
        "& CER \\% $\\downarrow$",
        "acted & accuracy \\% $\\uparrow$",
        "& UAR \\% $\\uparrow$",
    ]


def test_a_wide_table_is_one_for_each_family() -> None:
    text = render_latex(build_table(select(records())), "mini")
    captions = [line for line in lines_of(text) if line.startswith("\\caption")]
    assert [caption.partition(". ")[0] for caption in captions] == [
        f"\\caption{{mini: {part}"
        for part in ("Speech recognition", "Audio captioning", "Emotion", "Speaker")
    ]
    assert text.count("\\begin{table}") == 4


def test_a_single_model_is_neither_best_nor_second() -> None:
    assert "textbf{50" not in render_latex(build_table([record("a", "gender", 0.5)]), "mini")


def test_values_shown_alike_share_their_rank() -> None:
    table = build_table([record(name, "gender", 0.7 + tiny) for name, tiny in (("a", 0.0), ("b", 1e-6))])
    assert render_latex(table, "mini").count("\\textbf{70.0}") == 2


def test_a_dagger_marks_what_differs_from_the_chosen_model(runs: Path) -> None:
    stored = find_runs([runs])
    table = build_table(select([one.result for one in stored]))
    text = render_latex(table, "mini", compared_with("dense", stored))
    assert "$\\dagger$: differs from dense (paired test, Holm-corrected $p < 0.05$)." in text
    marked = [line for line in lines_of(text) if "^{\\dagger" in line]
    assert [line.split(" & ")[0] for line in marked] == ["words", "names"]
    for line in marked:
        assert line.index("^{\\dagger") > line.index("\\textbf")


def test_seeds_are_compared_together_and_the_dagger_stands_at_their_mean(runs: Path, clips: Path) -> None:
    run(Talker("moe-s1", [5]), naming(clips), runs)
    stored = [one for one in find_runs([runs]) if one.result.task == "names"]
    comparison = compared_with("dense", stored)
    assert [pair.second for pair in comparison.pairs] == ["moe"]
    table = build_table(select([one.result for one in stored]))
    marked = [line for line in lines_of(render_latex(table, "mini", comparison)) if "^{\\dagger" in line]
    assert len(marked) == 1
    assert "$\\,\\pm\\,$" in marked[0]


def test_no_dagger_stands_where_other_seeds_may_say_otherwise(clips: Path, tmp_path: Path) -> None:
    for name, wrong in (("a", 24), ("a-s1", 12), ("b", 6), ("b-s1", 12)):
        run(Talker(name, range(wrong)), naming(clips), tmp_path)
    stored = find_runs([tmp_path])
    comparison = compared_with("a", stored)
    assert comparison.pairs[0].tasks[0].different
    text = render_latex(build_table(select([one.result for one in stored])), "mini", comparison)
    assert "^{\\dagger" not in text
    assert "Seeds are paired by number" in text


def test_no_dagger_is_earned_by_one_of_two_runs_of_a_seed(clips: Path, tmp_path: Path) -> None:
    for folder, wrong in (("one", 3), ("two", 20)):
        run(Talker("a", range(wrong)), naming(clips), tmp_path / folder)
    run(Talker("b"), naming(clips), tmp_path / "one")
    with pytest.raises(ValueError, match="a and a are both seed 0 of a; rename one"):
        compared_with("b", find_runs([tmp_path]))


def test_without_a_difference_there_is_no_dagger(runs: Path, clips: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(Talker(name, [3]), naming(clips), tmp_path / "alike")
    stored = find_runs([tmp_path / "alike"])
    table = build_table(select([one.result for one in stored]))
    assert "^{\\dagger" not in render_latex(table, "mini", compared_with("one", stored))


def test_a_dagger_needs_a_model_of_the_table(runs: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown model 'dens'.*dense"):
        compared_with("dens", find_runs([runs]))
    with pytest.raises(ValueError, match="no other model of the table has a task in common with dense"):
        compared_with("dense", find_runs([runs / "dense"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b%c", "a\\_b\\%c"),
        ("\\input{/etc/passwd}", "\\textbackslash{}input\\{/etc/passwd\\}"),
        ("$x^2$ ~ #1 & 2", "\\$x\\textasciicircum{}2\\$ \\textasciitilde{} \\#1 \\& 2"),
        ("<b>--|`", "\\textless{}b\\textgreater{}-{}-\\textbar{}\\textasciigrave{}"),
        ("[h] *x", "{[}h{]} {*}x"),
        ("two\nlines", "two lines"),
        ("\u202ex", "\\textless{}U+202E\\textgreater{}x"),
        ("Zoë", "Zoë"),
    ],
)
def test_text_is_escaped(text: str, expected: str) -> None:
    assert escape(text) == expected


@pytest.mark.slow
def test_it_compiles(tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex is installed; on Debian: apt-get install texlive-latex-recommended")
    hostile = "a_b%$#&{}~^\\|\"`--<x>[1]*'\u202e\x1b"
    tables = [
        build_table(select(records())),
        build_table([record(hostile, "gender", 0.5), record("[x", "gender", 0.4)]),
    ]
    body = "\n".join(render_latex(table, "The \\title_") for table in tables)
    (tmp_path / "t.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n" + body + "\\end{document}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:].decode(errors="replace")
    assert (tmp_path / "t.pdf").stat().st_size > 0

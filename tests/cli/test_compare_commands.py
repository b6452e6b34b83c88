"""`evalkit compare`, `rescore`, `verify` and `publish` from the command line, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Evalkit = Callable[..., Any]


@pytest.fixture
def two_runs(evalkit: Evalkit, tones: Path, place: Path) -> Path:
    """`good_ear` hears all ten tones, `failing_ear` fails on two."""
    models = ["--model", "good_ear,failing_ear", "--max-failures", "0.5"]
    assert evalkit("run", *models, "--tasks", "tones", "--include-path", str(tones)).code == 0
    return place


def test_compare_prints_the_difference_with_what_it_rests_on(evalkit: Evalkit, two_runs: Path) -> None:
    done = evalkit("compare", "failing_ear", "good_ear")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "good_ear against failing_ear"
    row = next(line for line in lines if line.startswith("tones"))
    assert " ".join(row.split()).startswith("tones accuracy % ↑ 10 80.0 100.0 +20.0 [0.0, +50.0] 0.500 0.500")
    assert "no difference shown" in row
    assert "tones: of failing_ear's 10 answers 2 error; none is left out." in done.out
    assert "p by exact McNemar (tones over 10)." in done.out
    assert any(line.split()[:3] == ["good_ear", "3", "2"] for line in lines), "parameters, active parameters"


def test_compare_writes_files_and_prints_json(evalkit: Evalkit, two_runs: Path) -> None:
    done = evalkit("compare", "failing_ear", "good_ear", "--json", "--output", "out/ears.md")
    values = json.loads(done.out)
    assert values["pairs"][0]["tasks"][0]["differences"][0]["p"] == 0.5
    assert (two_runs / "out" / "ears.md").read_text().startswith("## good_ear against failing_ear\n")
    evalkit("compare", "failing_ear", "good_ear", "--output", "ears.json")
    assert json.loads((two_runs / "ears.json").read_text()) == values


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["good_ear", "gud_ear"], "unknown model 'gud_ear'; did you mean 'good_ear'"),
        (["good_ear"], "comparing takes at least two"),
        (["good_ear", "failing_ear", "--output", "ears.xlsx"], "--output ears.xlsx"),
        (["good_ear", "failing_ear", "--tasks", "tons"], "no record of tons"),
        (["good_ear", "failing_ear", "--by", "mood"], "no task can be sliced by mood"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_compared_exits_2_with_one_message(
    evalkit: Evalkit, two_runs: Path, arguments: list[str], message: str
) -> None:
    done = evalkit("compare", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_publish_then_verify_then_a_changed_digit(evalkit: Evalkit, two_runs: Path) -> None:
    done = evalkit("publish")
    assert done.code == 0
    assert [line.split("@")[0] for line in done.out.splitlines()] == [
        "published results/failing_ear/tones",
        "published results/good_ear/tones",
    ]
    held = evalkit("verify", "results")
    assert held.code == 0
    assert held.out.startswith("results: 2 runs, ")
    assert held.out.endswith("recomputed: everything as recorded\n")
    [record] = (two_runs / "results" / "good_ear").glob("tones@*/result.json")
    record.write_text(record.read_text().replace('"value": 1.0', '"value": 0.9'))
    broken = evalkit("verify", "results")
    assert broken.code == 1
    assert (
        f"{record.parent.name}/result.json: metrics.accuracy,none.value: stored 0.9, recomputed 1.0"
        in broken.out
    )
    findings = json.loads(evalkit("verify", "results", "--json").out)["findings"]
    assert findings[0]["field"] == "metrics.accuracy,none.value"
    assert evalkit("verify", "nowhere").code == 2


def test_an_unfinished_run_is_told_and_verify_still_exits_0(evalkit: Evalkit, two_runs: Path) -> None:
    [record] = (two_runs / "runs" / "good_ear").glob("tones@*/result.json")
    record.unlink()
    done = evalkit("verify", "runs")
    assert done.code == 0
    assert "has no result yet" in done.err


def test_publish_refuses_what_it_cannot(evalkit: Evalkit, place: Path) -> None:
    assert evalkit("publish").code == 2
    done = evalkit("publish", "--to", "me/records")
    assert (done.code, "expected hf://datasets/OWNER/NAME" in done.err) == (2, True)


def test_rescore_shows_both_ways_and_writes_only_when_asked(evalkit: Evalkit, two_runs: Path) -> None:
    [record] = (two_runs / "runs" / "good_ear").glob("tones@*/result.json")
    before = record.read_bytes()
    done = evalkit("rescore", "good_ear", "failing_ear", "--metric", "uar")
    assert done.code == 0
    rows = [" ".join(line.split()) for line in done.out.splitlines() if line.startswith("tones")]
    assert rows[0].startswith("tones failing_ear as recorded accuracy % ↑ 80.0")
    assert rows[1].startswith("tones failing_ear scored anew UAR % ↑ 80.0")
    assert done.out.endswith("No two models change places.\n")
    assert record.read_bytes() == before
    assert evalkit("rescore", "runs", "--metric", "uar", "--write").code == 0
    assert list(json.loads(record.read_text())["metrics"]) == ["uar,none"]
    assert evalkit("verify", "runs").code == 0


def test_rescore_names_what_a_model_heard(evalkit: Evalkit, two_runs: Path, tones: Path) -> None:
    deaf = ["--audio", "silence", "--include-path", str(tones)]
    assert evalkit("run", "--model", "good_ear", "--tasks", "tones", *deaf).code == 0
    done = evalkit("rescore", "good_ear", "--normalizer", "none")
    assert done.code == 0
    rows = [" ".join(line.split()) for line in done.out.splitlines() if line.startswith("tones")]
    models = {row.removeprefix("tones ").partition(" as recorded")[0] for row in rows if "as recorded" in row}
    assert models == {"good_ear", "good_ear (audio: silence)"}


def test_rescore_takes_the_rules_of_a_task_file(evalkit: Evalkit, two_runs: Path, tones: Path) -> None:
    text = (tones / "tones.yaml").read_text().replace("metric: accuracy", "metric: exact_match")
    (two_runs / "anew.yaml").write_text(text)
    [values] = json.loads(evalkit("rescore", "good_ear", "--task", "anew.yaml", "--json").out)["runs"]
    assert list(values["scored anew"]["metrics"]) == ["exact_match,none"]
    done = evalkit("rescore", "good_ear", "--metric", "acuracy")
    assert (done.code, "did you mean 'accuracy'" in done.err) == (2, True)

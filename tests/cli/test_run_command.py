"""`evalkit run` from the command line to the table, its exit codes, and going on after an interruption."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Evalkit = Callable[..., Any]


@pytest.fixture
def arguments(tones: Path) -> Callable[..., list[str]]:
    def build(model: str, *more: str) -> list[str]:
        return ["run", "--model", model, "--tasks", "tones", "--include-path", str(tones), *more]

    return build


Arguments = Callable[..., list[str]]


def without_times(text: str) -> str:
    """The table without its times and the column widths that depend on them."""
    return re.sub("--+", "--", re.sub(r"\d+\.\d s( \(\d+\.\dx\))?", "TIME", text))


def test_a_run_ends_with_a_table(evalkit: Evalkit, arguments: Arguments) -> None:
    done = evalkit(*arguments("good_ear"))
    assert done.code == 0
    heading, rule, row, caption = without_times(done.out).splitlines()
    assert heading.split("  ")[0] == "model"
    assert set(rule) == {"-", " "}
    assert " ".join(row.split()) == "good_ear tones accuracy % ↑ 100.0 [72.2, 100.0] 10 none real TIME"
    assert caption.startswith("Error rates, accuracies, F1 and recall in percent")


def test_the_record_passes_its_schema_and_its_place_is_told(evalkit: Evalkit, arguments: Arguments) -> None:
    from evalkit.results import read_result

    done = evalkit(*arguments("good_ear"))
    folder = Path(re.search(r"records: (.+)", done.err).group(1))  # type: ignore[union-attr]
    result = read_result(folder)
    assert (result.model, result.task, result.n, result.counts["ok"]) == ("good_ear", "tones", 10, 10)
    assert len((folder / "samples.jsonl").read_text().splitlines()) == 10


def test_json_prints_the_records_and_nothing_else(evalkit: Evalkit, arguments: Arguments) -> None:
    records = json.loads(evalkit(*arguments("good_ear,slow_ear", "--json", "--limit", "2")).out)
    assert [(record["model"], record["n"], record["partial"]) for record in records] == [
        ("good_ear", 2, True),
        ("slow_ear", 2, True),
    ]
    assert records[0]["metrics"]["accuracy,none"]["value"] == 1.0


def test_withheld_audio_is_another_run(evalkit: Evalkit, arguments: Arguments) -> None:
    [record] = json.loads(evalkit(*arguments("good_ear", "--audio", "silence", "--json")).out)
    assert record["audio"] == "silence"
    assert record["metrics"]["accuracy,none"]["value"] == 0.0
    [heard] = json.loads(evalkit(*arguments("good_ear", "--json")).out)
    assert heard["metrics"]["accuracy,none"]["value"] == 1.0
    assert heard["fingerprints"]["data"] == record["fingerprints"]["data"]


def test_too_many_errors_exit_1_after_everything_is_written(evalkit: Evalkit, arguments: Arguments) -> None:
    done = evalkit(*arguments("failing_ear"))
    assert done.code == 1
    assert "2 error" in done.out
    assert "80.0" in done.out
    assert "2 of 10 answers are errors" in done.err
    assert "the ear is closed" in done.err
    assert "\x1b" not in done.err
    assert list(Path("runs").rglob("result.json"))


def test_errors_within_max_failures_are_shown_but_no_failure(evalkit: Evalkit, arguments: Arguments) -> None:
    done = evalkit(*arguments("failing_ear", "--max-failures", "0.25"))
    assert (done.code, "2 error" in done.out) == (0, True)


def test_finished_results_are_shown_when_a_later_model_cannot_be_loaded(
    evalkit: Evalkit, arguments: Arguments, place: Path
) -> None:
    (place / "lost.yaml").write_text("name: lost\nloader: nobody\n")
    done = evalkit(*arguments("good_ear,lost.yaml"))
    assert done.code == 2
    assert "100.0" in done.out
    assert "unknown" in done.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--batch-size", "0"], "--batch-size 0: expected auto or a number"),
        (["--batch-size", "many"], "--batch-size many"),
        (["--model-args", "speed"], "'speed' is not of the form key=value"),
        (["--model-args", "speed=2"], "takes no --model-args"),
        (["--tasks", "tone"], "unknown task, group or tag 'tone'; did you mean 'tones'"),
        (["--model", "gud_ear"], "unknown model 'gud_ear'; did you mean 'good_ear'"),
        (["--model", ","], "--model names nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_option_exits_2_before_anything_runs(
    evalkit: Evalkit, arguments: Arguments, more: list[str], message: str
) -> None:
    done = evalkit(*arguments("good_ear", *more))
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert not Path("runs").exists()


def test_an_interrupted_run_says_how_to_go_on_and_that_line_does(
    evalkit: Evalkit, arguments: Arguments
) -> None:
    given = arguments("interrupted_ear", "--batch-size", "2")
    stopped = evalkit(*given, "--fresh")
    assert stopped.code == 130
    line = stopped.err.splitlines()[-1]
    assert shlex.split(line) == ["evalkit", *given]
    [journal] = Path("runs").rglob("samples.jsonl")
    kept = journal.read_text()
    assert len(kept.splitlines()) == 2
    again = evalkit(*shlex.split(line)[1:])
    assert again.code == 130, "the model is interrupted at its fourth answer, whichever that is"
    assert journal.read_text().startswith(kept)
    assert "2 of them done before" in again.err


def test_what_is_finished_is_not_run_again(evalkit: Evalkit, arguments: Arguments) -> None:
    first = evalkit(*arguments("good_ear"))
    calls: list[str] = importlib.import_module("ears").calls
    calls.clear()
    second = evalkit(*arguments("good_ear"))
    assert calls == []
    assert second.out == first.out
    assert "10 of them done before" in second.err
    third = evalkit(*arguments("good_ear", "--fresh"))
    assert len(calls) == 10
    assert without_times(third.out).split() == without_times(first.out).split()


def test_ctrl_c_in_the_terminal_exits_130_with_the_line_to_type(
    process: Callable[..., subprocess.Popen[str]], arguments: Arguments, place: Path
) -> None:
    running = process(*arguments("slow_ear", "--batch-size", "1"))
    limit = time.monotonic() + 60
    while time.monotonic() < limit and not any(path.stat().st_size for path in place.rglob("samples.jsonl")):
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err.splitlines()[-1] == shlex.join(["evalkit", *arguments("slow_ear", "--batch-size", "1")])
    assert "Traceback" not in err


def test_the_leaderboard_shows_the_runs_side_by_side_and_writes_them(
    evalkit: Evalkit, arguments: Arguments, place: Path
) -> None:
    evalkit(*arguments("good_ear,failing_ear"))
    evalkit(*arguments("good_ear", "--audio", "silence"))
    evalkit(*arguments("good_ear", "--limit", "2"))
    done = evalkit("leaderboard")
    assert done.code == 0
    rows = [line.split("  ")[0] for line in done.out.splitlines()]
    assert rows[4:7] == ["failing_ear", "good_ear", "good_ear (audio: silence)"]
    written = (place / "leaderboards" / "mini.md").read_text()
    assert "| good_ear | 100.0 [72.2, 100.0] |" in written
    assert "1. Of 10 answers: 2 error. A sample without an answer counts as wrong." in written
    assert "1 of 4 records left out" in done.err
    first = (place / "leaderboards" / "mini.md").read_bytes()
    evalkit("leaderboard", "--json")
    assert (place / "leaderboards" / "mini.md").read_bytes() == first


def test_the_leaderboard_refuses_to_mix_and_names_what_differs(
    evalkit: Evalkit, arguments: Arguments, place: Path, tones: Path
) -> None:
    evalkit(*arguments("good_ear"))
    other = place / "other"
    other.mkdir()
    (other / "data").symlink_to(tones / "data")
    text = (tones / "tones.yaml").read_text().replace("High or low?", "Is it high or low?")
    (other / "tones.yaml").write_text(text)
    evalkit("run", "--model", "failing_ear", "--tasks", "other/tones.yaml")
    done = evalkit("leaderboard")
    assert done.code == 2
    assert re.search(r"tones differs in .*prompt.* \(a: failing_ear; b: good_ear\)", done.err)
    mixed = evalkit("leaderboard", "--allow-mixed", "--output", "table.csv")
    assert mixed.code == 0
    assert "Not comparable" in mixed.out
    assert len((place / "table.csv").read_text().splitlines()) == 3

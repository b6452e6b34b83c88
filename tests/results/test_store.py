from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from evalkit.model import Response
from evalkit.results import (
    RESULT_NAME,
    Fingerprints,
    JournalEntry,
    MetricValue,
    Provenance,
    Result,
    RunRecord,
    build_result,
    find_results,
    read_result,
    read_run,
    run_folder,
    task_from_snapshot,
    task_snapshot,
    write_result,
    write_run,
)
from evalkit.results.files import safe_name, write_atomically
from evalkit.tasks.schema import FilterSpec, MetricSpec, Task, TaskFunction, TaskMeta

PRINTS = Fingerprints(generation="a" * 64, model="m", prompt="p", settings="s", data="d", scoring="")


def task(**changes: object) -> Task:
    values: dict[str, object] = {
        "name": "toy",
        "path": Path("/home/ann/tasks/toy.yaml"),
        "dataset_path": "/home/ann/data/toy",
        "doc_to_text": "Transcribe.",
        "doc_to_target": "text",
        "dataset_kwargs": {"token": "secret"},
        "filters": (FilterSpec("none", (("regex", {"pattern": "x"}),)),),
        "metrics": (MetricSpec("wer", {"normalizer": "basic"}),),
        "tags": ("asr",),
        "meta": TaskMeta(family="asr", side="semantic", slices=("gender",)),
    }
    return Task(**(values | changes))  # type: ignore[arg-type]


def run_record(**changes: object) -> RunRecord:
    values: dict[str, object] = {
        "model": "tiny",
        "task": task_snapshot(task()),
        "n": 2,
        "requests": "q",
        "fingerprints": PRINTS,
        "provenance": Provenance(evalkit="1", wall_seconds=2.5, seed=3),
    }
    return RunRecord.model_validate(values | changes)


def entries() -> list[JournalEntry]:
    return [
        JournalEntry("a", "r", ("x",), Response(text="x", input_tokens=5, output_tokens=1), seconds=1.5),
        JournalEntry(
            "a", "r", ("x",), Response(text="x", input_tokens=5, output_tokens=2), repeat=1, seconds=1.5
        ),
        JournalEntry("b", "r", ("x",), Response(error="gone", finish_reason="error"), seconds=2.0),
    ]


def result(**changes: object) -> Result:
    built = build_result(
        run_record(),
        entries(),
        {"wer,none": MetricValue(value=0.1, low=0.05, high=0.15)},
        {"ok": 2, "error": 1},
        scoring_fingerprint="sc",
        scoring={"metrics": [{"metric": "wer"}]},
    )
    return built.model_copy(update=changes)


def test_a_result_says_what_the_run_the_entries_and_the_scoring_say() -> None:
    built = result()
    assert (built.model, built.task, built.family, built.side, built.tags) == (
        "tiny",
        "toy",
        "asr",
        "semantic",
        ("asr",),
    )
    assert built.n == 2
    assert built.fingerprints == PRINTS.model_copy(update={"scoring": "sc"})
    sums = built.provenance
    assert (sums.audio_seconds, sums.input_tokens, sums.output_tokens) == (5.0, 10, 3)
    assert (sums.wall_seconds, sums.seed) == (2.5, 3)


@pytest.mark.parametrize(
    ("offered", "chance"), [([2, 4], 0.375), ([4, 4], 0.25), ([2, 0], None), ([0], None)]
)
def test_chance_is_a_uniform_guess_among_each_samples_choices(
    offered: list[int], chance: float | None
) -> None:
    asked = [
        JournalEntry(str(n), "r", ("x",), Response(text="x"), choices=tuple("abcd"[:count]))
        for n, count in enumerate(offered)
    ]
    built = build_result(run_record(), asked, {}, {}, scoring_fingerprint="sc", scoring={})
    assert built.chance == chance


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_result(tmp_path, result())
    assert read_result(tmp_path) == result()
    assert read_result(tmp_path / RESULT_NAME) == result()


def test_equal_results_have_equal_bytes(tmp_path: Path) -> None:
    write_result(tmp_path / "one.json", result(counts={"ok": 2, "error": 1}))
    write_result(tmp_path / "two.json", result(counts={"error": 1, "ok": 2}))
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_an_undefined_value_is_null_in_strict_json_and_nan_when_read(tmp_path: Path) -> None:
    value = MetricValue(value=math.nan, note="no positive sample")
    write_result(tmp_path, result(metrics={"f1,none": value}))
    assert json.loads((tmp_path / RESULT_NAME).read_bytes())["metrics"]["f1,none"]["value"] is None
    assert math.isnan(read_result(tmp_path).metrics["f1,none"].value)


def damaged(**changes: object) -> bytes:
    values = json.loads(result().model_dump_json())
    values.update(changes)
    return json.dumps(values).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "expected a JSON object, found list"),
        (damaged(n="many"), "n: Input should be a valid integer"),
        (damaged(extra=1), "extra: Extra inputs are not permitted"),
        (damaged(metrics={"wer,none": {"value": "low"}}), "metrics.wer,none.value: "),
        (damaged(schema_version=99), "schema_version 99 is newer"),
    ],
)
def test_a_bad_result_names_file_and_field(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / RESULT_NAME
    path.write_bytes(content)
    with pytest.raises(ValueError, match="result") as error:
        read_result(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_a_missing_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"result\.json: no such file"):
        read_result(tmp_path)


def test_results_are_found_in_every_depth_and_in_order(tmp_path: Path) -> None:
    folders = [tmp_path / "m2" / "t@1", tmp_path / "m1" / "t@2", tmp_path / "m1" / "t@1"]
    for folder in folders:
        folder.mkdir(parents=True)
        write_result(folder, result())
    assert find_results(tmp_path) == [folder / RESULT_NAME for folder in sorted(folders)]
    assert find_results(folders[0] / RESULT_NAME) == [folders[0] / RESULT_NAME]
    with pytest.raises(FileNotFoundError, match="no such folder"):
        find_results(tmp_path / "nowhere")


def test_a_run_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = run_record(limit=5, partial=True, repeats=2, audio="silence")
    write_run(tmp_path, run)
    assert read_run(tmp_path) == run


def test_a_snapshot_scores_like_its_task_but_tells_no_paths_and_no_secrets() -> None:
    snapshot = json.loads(json.dumps(task_snapshot(task())))
    assert "ann" not in json.dumps(snapshot)
    assert "secret" not in json.dumps(snapshot)
    again = task_from_snapshot(snapshot)
    assert again.metrics == task().metrics
    assert again.filters == task().filters
    assert again.meta == task().meta
    assert (again.path, again.dataset_path) == (Path("toy.yaml"), "toy")


def test_a_snapshot_names_functions() -> None:
    function = TaskFunction("prompts.ask", lambda fields: "x", "00")
    assert task_snapshot(task(doc_to_text=function))["doc_to_text"] == "!function prompts.ask"


def test_a_damaged_snapshot_names_the_field() -> None:
    snapshot = task_snapshot(task()) | {"output_type": "guess"}
    with pytest.raises(ValueError, match="output_type"):
        task_from_snapshot(snapshot)


@pytest.mark.security
@pytest.mark.parametrize(
    "name",
    ["../../etc", "/etc/passwd", "..", ".", "", "a\x00b", "a\nb", "C:\\x", ".hidden", "\ud800", "x" * 500],
)
def test_a_name_is_one_folder_inside_the_output(tmp_path: Path, name: str) -> None:
    folder = run_folder(tmp_path, name, name, "f" * 64)
    assert folder.parent.parent == tmp_path
    assert not folder.name.startswith(".")
    assert folder.resolve().is_relative_to(tmp_path.resolve())
    folder.mkdir(parents=True)


def test_plain_names_stay_and_a_limit_shows() -> None:
    folder = run_folder(Path("runs"), "moe_adapter-2.1", "mini_asr_en", "0123456789abcdef", 20)
    assert folder == Path("runs/moe_adapter-2.1/mini_asr_en@01234567-limit20")


def test_long_names_that_differ_late_stay_apart() -> None:
    assert safe_name("x" * 500 + "1") != safe_name("x" * 500 + "2")
    assert len(os.fsencode(safe_name("声" * 500))) < 200


@pytest.mark.fault
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / RESULT_NAME
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot write .*result\.json: No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == [RESULT_NAME]

"""Every number is recomputed, and what does not hold is named: file, field, stored, recomputed."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.leaderboard.publication import publish, verify
from evalkit.leaderboard.stored import find_runs


@pytest.fixture(scope="module")
def published_once(made_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(find_runs([made_once]), tmp_path_factory.mktemp("once") / "results").folder


@pytest.fixture
def published(published_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published_once, tmp_path / "results"))


def folder_of(root: Path, model: str, task: str) -> Path:
    [folder] = (root / model).glob(f"{task}@*")
    return folder


def findings(root: Path) -> list[str]:
    return [str(finding) for finding in verify(root).findings]


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def edit_journal(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the lines of a published journal, in data set order."""
    path = folder / "samples.jsonl.gz"
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    change(lines)
    path.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))


def test_runs_hold_before_and_after_publishing(runs: Path, published: Path) -> None:
    for root in (runs, published):
        done = verify(root)
        assert (done.findings, done.unfinished, done.runs) == ((), (), 4)
        assert done.fields > 400
    assert verify(folder_of(published, "moe", "words")).runs == 1


def test_every_changed_digit_of_a_value_is_named_with_what_it_should_be(published: Path) -> None:
    folder = folder_of(published, "moe", "names")
    stored = json.loads((folder / "result.json").read_text())["metrics"]["accuracy,none"]
    wrong = {key: stored[key] + 0.01 for key in ("value", "low", "high", "level")}
    wrong |= {"clusters": 13, "method": "guessed", "note": "fine", "higher_is_better": False}
    edit_json(folder / "result.json", lambda values: values["metrics"]["accuracy,none"].update(wrong))
    name = "result.json: metrics.accuracy,none"
    assert sorted(findings(folder)) == sorted(
        f"{name}.{key}: stored {value!r}, recomputed {stored[key]!r}" for key, value in wrong.items()
    )


def test_the_last_digits_count_too(published: Path) -> None:
    folder = folder_of(published, "dense", "words")

    def change(values: dict[str, Any]) -> None:
        values["metrics"]["wer,none"]["value"] *= 1 + 1e-11

    edit_json(folder / "result.json", change)
    [found] = findings(folder)
    assert "metrics.wer,none.value" in found


def test_every_other_field_is_recomputed_as_well(published: Path) -> None:
    folder = folder_of(published, "moe", "words")

    def change(values: dict[str, Any]) -> None:
        values.update(n=25, model="other", partial=True)
        values["counts"].update(ok=24, error=0)
        values["fingerprints"].update(prompt="0" * 64)
        values["provenance"].update(audio_seconds=1e6, parameters=1)
        values["metrics"].pop("cer,none")

    edit_json(folder / "result.json", change)
    told = " ".join(findings(folder))
    for field in (
        "n: stored 25, recomputed 24",
        "model: stored 'other', recomputed 'moe'",
        "partial: stored True, recomputed False",
        "counts.ok: stored 24, recomputed 23",
        "counts.error: stored 0, recomputed 1",
        "fingerprints.prompt: stored '0000",
        "provenance.audio_seconds: stored 1000000.0",
        "provenance.parameters: stored 1, recomputed 300",
        "metrics.cer,none: stored None",
    ):
        assert f"result.json: {field}" in told


def test_a_changed_prompt_in_run_json_does_not_fit_its_fingerprint(published: Path) -> None:
    folder = folder_of(published, "moe", "words")
    edit_json(folder / "run.json", lambda values: values["task"].update(doc_to_text="Say it, please."))
    names = [finding.split(": ")[1] for finding in findings(folder) if finding.startswith("run.json")]
    assert names == ["fingerprints.generation", "fingerprints.prompt"]


def test_a_deleted_line_of_the_journal_is_named(published: Path) -> None:
    folder = folder_of(published, "moe", "words")
    edit_journal(folder, lambda lines: lines.pop(17))
    [first, *rest] = findings(published)
    name = folder.relative_to(published).as_posix()
    assert first == (f"{name}/samples.jsonl.gz: line of sample 18 of 24: is missing, after sample 'clip-016'")
    assert f"{name}/result.json: n: stored 24, recomputed 23" in rest
    of_table = [finding for finding in rest if finding.startswith("samples.parquet")]
    assert of_table[0] == "samples.parquet: has 96 rows, the journals have 95"
    # The rows after it are found by their ids: they follow from the journal as before.
    assert of_table[1:] == ["samples.parquet: moe, words, sample 'clip-017' is in no journal"]


def test_a_deleted_line_of_a_run_that_is_not_published_is_named_too(runs: Path) -> None:
    folder = folder_of(runs, "dense", "names")
    lines = (folder / "samples.jsonl").read_text().splitlines(keepends=True)
    (folder / "samples.jsonl").write_text("".join(lines[:-1]))
    assert len(findings(runs)) > 1
    (folder / "samples.jsonl").write_text("".join(lines[:3] + lines[4:]))
    [found] = findings(runs)
    assert f"{folder.name}/samples.jsonl:4: lines of a batch are missing" in found


def test_a_doubled_line_is_named(published: Path) -> None:
    folder = folder_of(published, "moe", "words")
    edit_journal(folder, lambda lines: lines.insert(5, lines[4]))
    assert "samples.jsonl.gz:6: sample 'clip-004' (repeat 0) is there twice" in findings(folder)[0]


def test_a_line_that_was_added_is_named(published: Path) -> None:
    folder = folder_of(published, "moe", "words")
    edit_journal(folder, lambda lines: lines.append({**lines[0], "id": "guest", "index": 24}))
    assert "sample 'guest': is not one of the 24 samples of the run" in findings(folder)[0]


def test_a_changed_reference_is_found_by_its_hash_and_its_sample_named(published: Path) -> None:
    folder = folder_of(published, "moe", "words")
    edit_journal(folder, lambda lines: lines[3].update(references=["something else"]))
    found = findings(published)
    other = folder_of(published, "dense", "words").relative_to(published).as_posix()
    name = folder.relative_to(published).as_posix()
    [data] = [one for one in found if one.startswith(f"{name}/result.json: fingerprints.data")]
    assert data.endswith(f"held against {other}: other references of sample 'clip-003'")
    assert any("metrics.wer,none.value" in one for one in found)
    assert any("samples.parquet: moe, words, sample 'clip-003': references" in one for one in found)


def test_a_changed_answer_is_found_by_the_value_and_by_the_table_of_samples(published: Path) -> None:
    folder = folder_of(published, "moe", "words")
    edit_journal(folder, lambda lines: lines[3]["response"].update(text="word3"))
    found = findings(published)
    assert any("metrics.wer,none.value: stored 0.125, recomputed 0.0416" in one for one in found)
    assert any("sample 'clip-003': text, answer differ from the journal" in one for one in found)


def test_a_changed_table_is_named_with_its_line(published: Path) -> None:
    changes = {
        "leaderboard.md": "24",
        "leaderboard.csv": "24",
        "leaderboard.json": "24",
        "README.md": "96 answers",
    }
    for name, number in changes.items():
        path = published / name
        path.write_text(path.read_text().replace(number, "99", 1))
    told = findings(published)
    assert [found.split(": line ")[0] for found in told] == list(changes)
    assert all("99" in found for found in told)


def test_files_that_are_gone_are_named(published: Path) -> None:
    folder = folder_of(published, "moe", "words")
    (published / "leaderboard.csv").unlink()
    (folder / "result.json").unlink()
    (folder_of(published, "dense", "words") / "samples.jsonl.gz").unlink()
    found = findings(published)
    assert any(f"{folder.name}/result.json: is missing beside its journal" in one for one in found)
    assert any("dense" in one and "samples.jsonl: no such file" in one for one in found)


def test_a_run_that_was_taken_out_is_missed_by_the_tables(published: Path) -> None:
    shutil.rmtree(folder_of(published, "moe", "words"))
    assert any(finding.startswith("leaderboard.csv: line") for finding in findings(published))


def test_damaged_journals_are_named_and_the_others_are_still_checked(published: Path) -> None:
    places = (("moe", "words"), ("moe", "names"), ("dense", "names"))
    cut, empty, foreign = (folder_of(published, *place) for place in places)
    journal = cut / "samples.jsonl.gz"
    journal.write_bytes(journal.read_bytes()[:-20])
    (empty / "samples.jsonl.gz").write_bytes(b"")
    (foreign / "samples.jsonl.gz").write_bytes(b"not gzip at all")
    done = verify(published)
    assert done.runs == 4
    told = [str(finding) for finding in done.findings]
    reasons = ("not a whole gzip file", "line of sample 1 of 24", "Not a gzipped file")
    for folder, why in zip((cut, empty, foreign), reasons, strict=True):
        name = folder.relative_to(published).as_posix()
        assert any(found.startswith(name) and why in found for found in told)


def test_an_unfinished_run_is_told_and_is_no_fault(runs: Path) -> None:
    folder = folder_of(runs, "moe", "words")
    (folder / "result.json").unlink()
    done = verify(runs)
    assert (done.findings, done.runs) == ((), 3)
    assert done.unfinished == (folder.relative_to(runs).as_posix(),)


def test_a_record_of_an_unknown_metric_is_named(published: Path) -> None:
    folder = folder_of(published, "moe", "words")
    edit_json(folder / "result.json", lambda values: values["scoring"]["metrics"][0].update(metric="werr"))
    assert "result.json: cannot be recomputed: unknown metric 'werr'" in findings(folder)[0]


def test_nothing_to_check_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no result\.json under"):
        verify(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        verify(tmp_path / "nowhere")

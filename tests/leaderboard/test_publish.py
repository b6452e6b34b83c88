"""A published folder stands alone, says nothing private, and is the same bytes for the same runs."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub.repocard_data import model_index_to_eval_results
from talkers import Talker, naming, run, transcription

from evalkit.leaderboard.publication import publish, verify
from evalkit.leaderboard.publication.redaction import private, redacted
from evalkit.leaderboard.rebuild import recomputed_run
from evalkit.leaderboard.rescore import Changes, overwrite, rescore
from evalkit.leaderboard.stored import find_runs
from evalkit.results import (
    find_journal,
    in_order,
    read_journal,
    read_result,
    read_run,
    write_result,
    write_run,
)


def content(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def published(runs: Path, output: Path) -> Path:
    return publish(find_runs([runs]), output).folder


def test_a_published_folder_holds_every_part_and_holds_in_every_number(runs: Path, tmp_path: Path) -> None:
    folder = published(runs, tmp_path / "results")
    names = [re.sub("@[0-9a-f]{8}", "@FP", name) for name in content(folder)]
    run_files = ["result.json", "run.json", "samples.jsonl.gz"]
    assert names == sorted(
        [
            *(f"{m}/{t}@FP/{f}" for m in ("dense", "moe") for t in ("names", "words") for f in run_files),
            *(f"{model}/model-index.yaml" for model in ("dense", "moe")),
            *("LICENSES.md", "README.md", "environment.json", "samples.parquet"),
            *("leaderboard.csv", "leaderboard.json", "leaderboard.md"),
        ]
    )
    assert verify(folder).findings == ()


def test_records_and_answers_are_those_of_the_runs(runs: Path, tmp_path: Path) -> None:
    folder = published(runs, tmp_path / "results")
    for before in find_runs([runs]):
        place = folder / before.folder.relative_to(runs)
        assert read_result(place) == before.result
        assert in_order(read_journal(find_journal(place))) == before.entries()


def test_publishing_again_changes_no_byte(runs: Path, tmp_path: Path) -> None:
    folder = published(runs, tmp_path / "results")
    before = content(folder)
    published(runs, folder)
    assert content(folder) == before
    shutil.rmtree(folder / "dense")
    published(runs, folder)
    assert content(folder) == before
    assert content(published(folder, tmp_path / "copy")) == before


def test_a_newer_run_takes_the_place_of_the_published_one(runs: Path, clips: Path, tmp_path: Path) -> None:
    folder = published(runs, tmp_path / "results")
    [old] = (folder / "moe").glob("words@*")
    newer = run(Talker("moe"), transcription(clips), tmp_path / "more")
    for name in ("run.json", "result.json"):
        record = json.loads((newer / name).read_text())
        record["provenance"]["started"] = "2999-01-01T00:00:00+00:00"
        record["fingerprints"]["model"] = "new weights"
        (newer / name).write_text(json.dumps(record))
    _refingerprint(newer)
    done = publish(find_runs([tmp_path / "more"]), folder)
    assert done.removed == (old,)
    [new] = (folder / "moe").glob("words@*")
    assert done.written == (new,)
    assert read_result(new).metrics["wer,none"].value == 0.0
    assert verify(folder).findings == ()
    again = publish(find_runs([runs]), folder)
    assert [text for text in again.left_out if "moe" in text and "words" in text] == [
        f"{runs / old.relative_to(folder)}: a newer run of the same is published"
    ]


def _refingerprint(folder: Path) -> None:
    """Make the generation fingerprint of a changed run what its parts give."""
    entries = in_order(read_journal(find_journal(folder)))
    again = recomputed_run(read_run(folder), entries)
    write_run(folder, again)
    prints = again.fingerprints.model_copy(update={"scoring": read_result(folder).fingerprints.scoring})
    write_result(folder, read_result(folder).model_copy(update={"fingerprints": prints}))


def test_partial_runs_are_left_out_and_alone_they_are_nothing_to_publish(
    runs: Path, clips: Path, tmp_path: Path
) -> None:
    partial = run(Talker("hasty"), transcription(clips), runs, limit=3)
    done = publish(find_runs([runs]), tmp_path / "results")
    assert done.left_out == (f"{partial}: a partial run",)
    assert not (done.folder / "hasty").exists()
    with pytest.raises(ValueError, match="nothing to publish: every run is partial"):
        publish(find_runs([partial]), tmp_path / "other")


def test_a_run_that_does_not_hold_is_not_published(runs: Path, tmp_path: Path) -> None:
    [path] = (runs / "moe").glob("names@*/result.json")
    record = json.loads(path.read_text())
    record["metrics"]["accuracy,none"]["value"] = 1.0
    path.write_text(json.dumps(record))
    with pytest.raises(
        ValueError, match=r"cannot be published:\n.*metrics\.accuracy,none\.value: stored 1\.0"
    ):
        published(runs, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_the_readme_gives_the_commands_and_its_front_matter_is_a_dataset_card(
    runs: Path, tmp_path: Path
) -> None:
    text = (published(runs, tmp_path / "results") / "README.md").read_text()
    card = yaml.safe_load(text.split("---\n")[1])
    assert card["configs"] == [{"config_name": "default", "data_files": "samples.parquet"}]
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("evalkit run")]
    assert [command[2:6] for command in commands] == [
        ["--model", "dense", "--tasks", "names,words"],
        ["--model", "moe", "--tasks", "names,words"],
    ]
    assert commands[0][6:] == [
        *("--audio", "real", "--dtype", "float32", "--seed", "0", "--batch-size", "auto")
    ]
    assert "evalkit verify ." in text


def test_a_further_training_seed_is_run_by_the_card_that_its_training_writes(
    runs: Path, clips: Path, tmp_path: Path
) -> None:
    run(Talker("moe-s1", [5]), naming(clips), runs)
    text = (published(runs, tmp_path / "results") / "README.md").read_text()
    assert "# moe-s1: `evalkit train` with the recipe of moe and --seed 1 makes its card\n" in text
    assert "--model training/moe-s1/moe-s1.yaml --tasks names" in text


def test_licences_and_environment_are_told(runs: Path, tmp_path: Path) -> None:
    folder = published(runs, tmp_path / "results")
    licences = (folder / "LICENSES.md").read_text()
    assert "| names | CC-BY-4.0 |" in licences
    assert "| words | CC0-1.0 |" in licences
    [made] = json.loads((folder / "environment.json").read_text())["environments"]
    assert len(made["runs"]) == 4
    assert made["packages"]["numpy"]
    assert made["sources"] == {"weights": "made for the test"}


def test_the_model_index_is_read_by_the_hubs_own_library(runs: Path, tmp_path: Path) -> None:
    text = (published(runs, tmp_path / "results") / "moe" / "model-index.yaml").read_text()
    name, results = model_index_to_eval_results(yaml.safe_load(text)["model-index"])
    assert name == "moe"
    assert [(one.dataset_name, one.metric_type, one.metric_value) for one in results] == [
        ("names", "accuracy", pytest.approx(22 / 24)),
        ("words", "wer", 0.125),
        ("words", "cer", pytest.approx(results[2].metric_value)),
    ]
    assert results[0].metric_name is not None
    assert re.fullmatch(r"accuracy \(n = 24, 95 % interval 0\.\d+ to 1\)", results[0].metric_name)


def test_parquet_has_a_row_for_every_answer(runs: Path, tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.read_parquet(published(runs, tmp_path / "results") / "samples.parquet")
    assert len(frame) == 96
    row = frame[(frame.model == "moe") & (frame.task == "words") & (frame.id == "clip-003")].iloc[0]
    assert (row.text, row.answer, row.status, list(row.references)) == (
        "something else",
        "something else",
        "ok",
        ["word3"],
    )
    assert json.loads(row.fields) == {"language": "en"}
    assert frame[frame.status == "error"].error.tolist() == ["no answer"] * 4


@pytest.mark.security
def test_nothing_private_is_in_any_published_file(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = "/home/canary-user"
    secret = "s3cret-value-of-mine"
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("CANARY_API_KEY", secret)
    complaint = f"cannot open {home}/data/clip.wav with {secret} nor /srv/canary-corpus/clip.wav"
    source = f"https://canary:{secret}@index.example/pkg and {home}/weights.safetensors"
    model = Talker("moe", fails=[2], complaint=complaint, source=source)
    run(model, transcription(clips), tmp_path / "runs")
    folder = published(tmp_path / "runs", tmp_path / "results")
    for path in (path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        for canary in (b"canary", secret.encode(), b"/home/", b"/srv/"):
            assert canary not in data, path
    [entry] = [e for r in find_runs([folder]) for e in r.entries() if e.response.error]
    assert entry.response.error == "cannot open clip.wav with [removed] nor clip.wav"
    assert verify(folder).findings == ()


@pytest.mark.security
def test_what_is_scored_is_never_changed_but_refused(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_TOKEN", "s3cret-value-of-mine")
    run(Talker("leaky", word="s3cret-value-of-mine {}"), transcription(clips), tmp_path / "runs")
    message = "answer or data of sample 'clip-000' hold the value of CANARY_TOKEN"
    with pytest.raises(ValueError, match=message) as refused:
        published(tmp_path / "runs", tmp_path / "results")
    assert "s3cret" not in str(refused.value)
    assert not (tmp_path / "results").exists()


@pytest.mark.security
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/x/a.wav: broken", "a.wav: broken"),
        ("see '/data/corpus/b.flac'", "see 'b.flac'"),
        ("~/models/c.bin", "c.bin"),
        (r"C:\Users\me\d.wav is gone", "d.wav is gone"),
        ("https://host.example/path/to/e", "https://host.example/path/to/e"),
        ("https://me:pass@host.example/e", "https://host.example/e"),
        ("org/name@main sha256:abc", "org/name@main sha256:abc"),
        ("token hf_abcdefghijklmnopqrstuvwx", "token [removed]"),
        ("Authorization: Bearer abcdefghijklmnop1234", "Authorization: [removed]"),
        ("and/or, 1/2/3", "and/or, 1/2/3"),
    ],
)
def test_redaction(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.security
def test_keys_are_seen_in_whatever_is_to_be_published() -> None:
    assert private("sk-abcdefghijklmnopqrstuvwxyz") == ["what looks like a key"]
    assert private(str(Path.home() / "x")) == ["the path of your home folder"]
    assert private(f"{Path.home()}less and plain text") == []


@pytest.mark.security
def test_names_from_records_stay_inside_the_folder_and_the_code_block(clips: Path, tmp_path: Path) -> None:
    run(Talker("../../evil\n```\n# heading"), transcription(clips), tmp_path / "runs")
    folder = published(tmp_path / "runs", tmp_path / "deep" / "results")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "runs"]
    text = (folder / "README.md").read_text()
    assert "\n# heading" not in text
    assert sum(line.startswith("```") for line in text.splitlines()) == 4
    assert verify(folder).findings == ()


def test_runs_made_differently_are_set_apart_in_the_table(runs: Path, clips: Path, tmp_path: Path) -> None:
    run(Talker("other"), replace(transcription(clips), doc_to_text="Say it, please."), runs)
    folder = published(runs, tmp_path / "results")
    text = (folder / "leaderboard.md").read_text()
    assert "words (b)" in text
    assert "Not comparable: words differs in prompt" in text
    assert verify(folder).findings == ()


def test_a_stray_file_in_the_folder_is_left_alone(runs: Path, clips: Path, tmp_path: Path) -> None:
    folder = published(runs, tmp_path / "results")
    (folder / "moe" / "notes.txt").write_text("mine")
    published(runs, folder)
    assert (folder / "moe" / "notes.txt").read_text() == "mine"
    assert verify(folder).findings == ()


def test_rescored_runs_are_published_as_they_are_now(runs: Path, tmp_path: Path) -> None:
    folder = published(runs, tmp_path / "results")
    for stored in [one for one in find_runs([runs]) if one.result.task == "words"]:
        overwrite(rescore(stored, Changes(metrics=("exact_match",))))
    published(runs, folder)
    [place] = (folder / "moe").glob("words@*")
    assert list(read_result(place).metrics) == ["exact_match,none"]
    assert verify(folder).findings == ()

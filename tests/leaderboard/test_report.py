"""The page of one run: which samples it shows, with which audio, and that data stay text."""

from __future__ import annotations

import base64
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hostile import FELT, HEARD, LONG, REASON, SAID, SCRIPT, Says, write_feelings, write_speech
from parsed import Element, parsed

from evalkit.evaluation import evaluate
from evalkit.leaderboard.report import audio as report_audio
from evalkit.leaderboard.report import read_answers, render_report
from evalkit.results import RESULT_NAME
from evalkit.runner import RunSettings
from evalkit.tasks.schema import Task


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Task]:
    folder = tmp_path_factory.mktemp("speech")
    task = write_speech(folder / "data")
    return evaluate(Says("parrot", SAID), task, RunSettings(folder / "runs")).run.folder, task


@pytest.fixture(scope="module")
def page(speech: tuple[Path, Task]) -> str:
    folder, task = speech
    return render_report(read_answers(folder), task)


def samples(page: str) -> dict[str, Element]:
    """The samples in the order of the page, by their id."""
    return {one.all("span", class_="name")[0].text: one for one in parsed(page).all("article")}


def texts(sample: Element) -> dict[str, str]:
    """What stands first beside each word of the sample: its reference, its answer."""
    found: dict[str, str] = {}
    for line in sample.all("dl", class_="texts")[0].all("div"):
        found.setdefault(line.all("dt")[0].text, line.all("dd")[0].text)
    return found


def test_the_same_run_gives_the_same_bytes(speech: tuple[Path, Task], page: str) -> None:
    folder, task = speech
    assert render_report(read_answers(folder), task) == page


def test_values_and_statuses_are_those_of_the_record(speech: tuple[Path, Task], page: str) -> None:
    from evalkit.results import read_result

    result = read_result(speech[0])
    root = parsed(page)
    row = root.all("table", class_="plain")[0].all("tr")[0]
    shown = row.all("td")[0].text
    assert shown == f"{100 * result.metrics['wer,none'].value:.1f}"
    statuses = {
        line.all("th")[0].text: int(line.all("td")[0].text)
        for line in root.all("table", class_="plain statuses")[0].all("tr")
        if line.all("th")
    }
    assert statuses == dict(result.counts)


def test_the_worst_come_first_and_what_is_right_is_not_among_them(page: str) -> None:
    found = samples(page)
    groups = [sample.attributes["data-group"] for sample in found.values()]
    assert groups == ["worst"] * 9 + ["random"]
    assert next(iter(found)) == "long"
    assert list(found)[-1] == "exact"
    assert found["edited"].all("span", class_="value")[0].text == "WER 60.0"


def test_edits_are_coloured_and_counted(page: str) -> None:
    sample = samples(page)["edited"]
    marked = {tag: [one.text for one in sample.all(tag)] for tag in ("mark", "del", "ins")}
    assert marked == {"mark": ["four", "for"], "del": ["two"], "ins": ["six"]}
    assert "1 substituted, 1 deleted, 1 inserted of 5 words" in sample.text
    assert texts(sample) == {"Reference": "one two three four five", "Answer": "one three for five six"}


def test_every_audio_is_there_as_the_model_heard_it(speech: tuple[Path, Task], page: str) -> None:
    folder, _ = speech
    players = {name: sample.all("audio") for name, sample in samples(page).items()}
    assert all(len(found) == 1 for found in players.values())
    uri = str(players["edited"][0].attributes["src"])
    head, _, data = uri.partition(",")
    assert head == "data:audio/flac;base64"
    heard, rate = soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32")
    stored, _ = soundfile.read(folder.parents[2] / "data" / "1.wav", dtype="float32")
    assert rate == 16_000
    assert np.abs(heard - stored).max() < 1e-4


def test_a_prediction_of_a_script_stays_text(page: str) -> None:
    root = parsed(page)
    assert len(root.all("script")) == 1
    assert not root.all("img")
    sample = samples(page)[f"id-{SCRIPT}"]
    assert texts(sample)["Answer"] == f"plain {SCRIPT}"
    assert f"1 × {REASON}" in root.text


def test_the_unseen_is_shown(page: str) -> None:
    found = samples(page)
    assert "⟨U+202E⟩dnas⟨U+202C⟩" in texts(found["override"])["Reference"]
    assert "⟨U+001B⟩[31mred⟨U+0007⟩" in texts(found["control"])["Answer"]
    assert "\ufffd" in texts(found["surrogate"])["Answer"]
    assert not any(sign in page for sign in "\u202e\x1b\x07\u2066")
    page.encode("utf-8")


def test_very_long_answers_are_cut(page: str) -> None:
    sample = samples(page)["long"]
    assert len(sample.text) < len(LONG) / 2
    assert f"and {len(LONG) - 2_000} characters more" in sample.text


def test_slices_have_counts_values_and_bars(page: str) -> None:
    tables = {
        table.all("caption")[0].text: table for table in parsed(page).all("table", class_="plain slices")
    }
    assert list(tables) == ["language", "duration"]
    counts = {
        row.all("th")[0].text: row.all("td")[0].text for row in tables["language"].all("tbody")[0].all("tr")
    }
    assert counts == {SCRIPT: "5", "de": "5"}
    assert len(tables["duration"].all("circle")) == len(tables["duration"].all("tbody")[0].all("tr"))


def test_no_more_samples_than_asked_for(speech: tuple[Path, Task]) -> None:
    folder, task = speech
    found = samples(render_report(read_answers(folder), task, samples=1))
    assert [one.attributes["data-group"] for one in found.values()] == ["worst", "failed", "random"]
    assert not samples(render_report(read_answers(folder), task, samples=0))


def test_without_the_task_the_page_says_why_there_is_no_audio(speech: tuple[Path, Task]) -> None:
    text = render_report(read_answers(speech[0]), None)
    assert "<audio" not in text
    assert "the task speech is not known here; --include-path FOLDER" in text


def test_audio_that_is_not_the_runs_is_not_embedded(speech: tuple[Path, Task], tmp_path: Path) -> None:
    folder, task = speech
    data = Path(shutil.copytree(task.path.parent, tmp_path / "data"))
    soundfile.write(data / "1.wav", np.zeros(8_000, np.float32), 16_000)
    (data / "3.wav").unlink()
    found = samples(render_report(read_answers(folder), replace(task, path=data / "speech.yaml")))
    assert not found["edited"].all("audio")
    assert "the data or the prompt are not those of the run any more" in found["edited"].text
    assert "there is no such file" in found["quotes"].text
    assert found["exact"].all("audio")


def test_data_that_have_gone_are_told(speech: tuple[Path, Task], tmp_path: Path) -> None:
    folder, task = speech
    text = render_report(read_answers(folder), replace(task, path=tmp_path / "speech.yaml"))
    assert "No audio: the data of speech cannot be opened" in text


def test_the_audio_of_a_page_is_bounded(speech: tuple[Path, Task], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, task = speech
    monkeypatch.setattr(report_audio, "MAX_BYTES", 100_000)
    text = render_report(read_answers(folder), task)
    embedded = sum(len(one.attributes["src"] or "") for one in parsed(text).all("audio"))
    assert 0 < embedded < 4 * 100_000 / 3
    assert "left out: a page holds" in text


def test_classes_get_a_confusion_matrix(tmp_path: Path) -> None:
    task = write_feelings(tmp_path / "data")
    answers = {f"clip{number}": text for number, text in enumerate(HEARD)}
    run = evaluate(Says("listener", answers), task, RunSettings(tmp_path / "runs")).run
    root = parsed(render_report(read_answers(run.folder), task))
    (matrix,) = root.all("table", class_="confusion")
    assert [one.text for one in matrix.all("th", scope="col")][1:] == [
        "anger",
        "fear",
        "joy",
        "no label",
        "n",
    ]
    rows = {
        row.all("th")[0].text: [cell.text or "0" for cell in row.all("td")]
        for row in matrix.all("tbody")[0].all("tr")
    }
    assert rows == {
        "anger": ["1", "0", "1", "0", "2"],
        "fear": ["0", "2", "0", "1", "3"],
        "joy": ["0", "1", "2", "0", "3"],
    }
    wrong = [one for one in root.all("article") if one.all("span", class_="value")[0].text == "wrong"]
    assert len(wrong) == sum(felt != heard for felt, heard in zip(FELT, HEARD, strict=True))


def test_choices_are_shown_with_their_log_likelihoods(tmp_path: Path) -> None:
    task = write_feelings(tmp_path / "data", output_type="multiple_choice")
    answers = {f"clip{number}": "joy" for number in range(len(FELT))}
    run = evaluate(Says("optimist", answers), task, RunSettings(tmp_path / "runs")).run
    root = parsed(render_report(read_answers(run.folder), task))
    anger = next(one for one in root.all("article") if texts(one)["Reference"] == "anger")
    choices = anger.all("ul", class_="choices")[0].all("li")
    assert [one.text for one in choices] == ["anger -2.50", "fear -2.50", "joy -1.00"]
    assert [one.attributes.get("class") for one in choices] == ["right", None, None]


def test_a_run_that_was_interrupted_is_reported_as_far_as_it_went(
    speech: tuple[Path, Task], tmp_path: Path
) -> None:
    source, task = speech
    folder = Path(shutil.copytree(source, tmp_path / source.name))
    (folder / RESULT_NAME).unlink()
    lines = (folder / "samples.jsonl").read_text().splitlines(keepends=True)
    kept = [json.dumps({**json.loads(line), "more": 0}) + "\n" for line in lines[:4]]
    (folder / "samples.jsonl").write_text("".join(kept))
    text = render_report(read_answers(folder), task)
    assert "The run has not ended: 4 of 10 answers are here." in text
    assert len(samples(text)) == 4


def test_withheld_audio_is_said(tmp_path: Path) -> None:
    task = write_feelings(tmp_path / "data")
    answers = {f"clip{number}": "joy" for number in range(len(FELT))}
    settings = RunSettings(tmp_path / "runs", audio="silence")
    run = evaluate(Says("optimist", answers), task, settings).run
    text = render_report(read_answers(run.folder), task)
    assert "The model did not hear the audio below: the setting was silence." in text


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder; give a run folder"):
        read_answers(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"run\.json: no such file"):
        read_answers(tmp_path)

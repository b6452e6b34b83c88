from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny_model import TinyModel
from toy_task import rows_of, toy_task, write_clip

from evalkit.model import GenerationSettings, Prepared, Request
from evalkit.results import RunLockedError, hold, read_journal, read_run
from evalkit.runner import LazyModel, RunSettings, TaskRun, run_task
from evalkit.tasks.schema import Task


class Recorded:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def start(self, total: int, already_done: int) -> None:
        self.calls.append(("start", total, already_done))

    def advance(self, n: int, audio_seconds: float) -> None:
        self.calls.append(("advance", n, audio_seconds))

    def note(self, message: str) -> None:
        self.calls.append(("note", message))

    def close(self) -> None:
        self.calls.append(("close",))


def run(task: Task, output: Path, model: TinyModel | None = None, **settings: object) -> TaskRun:
    return run_task(model or TinyModel(), task, RunSettings(output, **settings))  # type: ignore[arg-type]


def texts(done: TaskRun) -> list[str | None]:
    return [entry.response.text for entry in done.entries]


def errors(done: TaskRun) -> dict[str, str]:
    return {entry.id: entry.response.error for entry in done.entries if entry.response.error is not None}


def test_every_sample_is_answered_once_in_the_order_of_the_data(tmp_path: Path) -> None:
    model = TinyModel()
    done = run(toy_task(tmp_path / "data", 20), tmp_path / "runs", model, batch_size=4)
    assert [entry.id for entry in done.entries] == [row["id"] for row in rows_of(20)]
    assert sorted(model.asked) == [entry.id for entry in done.entries]
    assert [len(batch) for batch in model.batches] == [4] * 5
    assert len(set(texts(done))) == 20
    assert all("Say v" in str(text) for text in texts(done))
    assert (done.resumed, done.failures, done.too_many_failures) == (0, 0, False)


def test_the_journal_and_the_run_record_lie_in_a_folder_named_after_model_task_and_generation(
    tmp_path: Path,
) -> None:
    done = run(toy_task(tmp_path / "data", 3), tmp_path / "runs")
    generation = done.run.fingerprints.generation
    assert done.folder == tmp_path / "runs" / "tiny" / f"toy@{generation[:8]}"
    assert sorted(read_journal(done.folder / "samples.jsonl"), key=lambda entry: entry.index) == list(
        done.entries
    )
    assert read_run(done.folder) == done.run
    assert (done.run.n, done.run.partial, done.run.repeats) == (3, False, 1)


def test_answers_do_not_depend_on_the_batch_size(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 13)
    sizes: list[int | str] = [1, 3, 8, "auto"]
    runs = [run(task, tmp_path / f"runs{size}", batch_size=size) for size in sizes]
    assert all(done.entries == runs[0].entries for done in runs)
    assert all(done.run.fingerprints == runs[0].run.fingerprints for done in runs)


def test_the_same_again_ends_at_once_without_loading_the_model(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 5)
    first = run(task, tmp_path / "runs")
    before = {file.name: file.read_bytes() for file in first.folder.iterdir()}

    def load() -> TinyModel:
        raise AssertionError("nothing is left to do")

    again = run_task(LazyModel(load, TinyModel().info), task, RunSettings(tmp_path / "runs"))
    assert again.entries == first.entries
    assert again.resumed == 5
    before.pop(".lock")
    assert {name: (first.folder / name).read_bytes() for name in before} == before


def test_fresh_asks_everything_again_and_removes_the_old_result(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 5)
    first = run(task, tmp_path / "runs")
    (first.folder / "result.json").write_text("{}")
    model = TinyModel()
    again = run(task, tmp_path / "runs", model, fresh=True)
    assert len(model.asked) == 5
    assert again.entries == first.entries
    assert not (first.folder / "result.json").exists()


def test_a_limited_run_is_partial_and_has_a_folder_of_its_own(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 6)
    limited = run(task, tmp_path / "runs", limit=4)
    assert [entry.id for entry in limited.entries] == [row["id"] for row in rows_of(4)]
    assert limited.folder.name.endswith("-limit4")
    assert limited.run.partial
    whole = run(task, tmp_path / "runs", limit=6)
    assert not whole.run.partial
    assert run(task, tmp_path / "runs").resumed == 0


@pytest.mark.parametrize(("option", "value"), [("limit", 0), ("batch_size", 0), ("max_failures", 1.5)])
def test_a_senseless_setting_is_refused(tmp_path: Path, option: str, value: object) -> None:
    with pytest.raises(ValueError, match=str(value)):
        run(toy_task(tmp_path / "data", 2), tmp_path / "runs", **{option: value})


def test_audio_settings_change_what_is_heard_and_the_generation_but_not_the_data(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 5)
    runs = {
        audio: run(task, tmp_path / "runs", audio=audio) for audio in ("real", "none", "silence", "shuffled")
    }
    assert len({done.folder for done in runs.values()}) == 4
    assert len({done.run.fingerprints.data for done in runs.values()}) == 1
    assert all(str(text).startswith("silence Say v") for text in texts(runs["silence"]))
    assert all(str(text).startswith("Say v") for text in texts(runs["none"]))
    heard = {audio: [str(text).split()[0] for text in texts(done)] for audio, done in runs.items()}
    assert sorted(heard["real"]) == sorted(heard["shuffled"])
    assert all(one != other for one, other in zip(heard["real"], heard["shuffled"], strict=True))


def test_the_seed_counts_where_something_is_drawn(tmp_path: Path) -> None:
    greedy = toy_task(tmp_path / "data", 4)
    sampled = toy_task(tmp_path / "data", generation=GenerationSettings(do_sample=True), repeats=2)

    def generations(task: Task, audio: str) -> int:
        runs = [run(task, tmp_path / f"runs{seed}", seed=seed, audio=audio) for seed in (0, 1)]
        return len({done.run.fingerprints.generation for done in runs})

    assert generations(greedy, "real") == 1
    assert generations(greedy, "shuffled") == 2
    assert generations(sampled, "real") == 2


def test_every_repeat_is_asked_with_a_seed_of_its_own(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 3, repeats=3, generation=GenerationSettings(do_sample=True))
    done = run(task, tmp_path / "runs")
    assert [(entry.index, entry.repeat) for entry in done.entries] == [
        (i, r) for i in range(3) for r in range(3)
    ]
    assert len(set(texts(done))) == 9


def test_choices_are_scored(tmp_path: Path) -> None:
    task = toy_task(
        tmp_path / "data",
        4,
        output_type="multiple_choice",
        doc_to_choice=("v0", "voice 1"),
        doc_to_target="v0",
    )
    task = toy_task(
        tmp_path / "data",
        output_type="multiple_choice",
        doc_to_choice=("v0", "v1", "v2"),
        doc_to_target="voice",
    )
    done = run(task, tmp_path / "runs")
    assert {entry.choices for entry in done.entries} == {("v0", "v1", "v2")}
    assert {entry.response.choice_logprobs for entry in done.entries} == {(-2.0, -2.0, -2.0)}


@pytest.mark.fault
def test_bad_audio_costs_one_sample_each_and_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    task = toy_task(folder, 30)
    (folder / "clips/001.wav").unlink()
    (folder / "clips/002.wav").write_bytes(b"")
    (folder / "clips/003.wav").write_bytes(b"this is text" * 50)
    whole = (folder / "clips/004.wav").read_bytes()
    (folder / "clips/004.wav").write_bytes(whole[: len(whole) // 2])
    write_clip(folder / "clips/005.wav", 5, seconds=0.0)
    done = run(task, tmp_path / "runs", batch_size=8)
    assert sorted(errors(done)) == [f"clip-00{number}" for number in range(1, 6)]
    assert "no such file" in errors(done)["clip-001"]
    assert "empty" in errors(done)["clip-002"]
    assert "cut off" in errors(done)["clip-004"]
    assert "0 samples" in errors(done)["clip-005"]
    assert done.failures == 5
    assert done.too_many_failures
    assert not run(task, tmp_path / "runs", max_failures=0.2).too_many_failures


@pytest.mark.fault
def test_a_model_that_fails_on_a_sample_gives_the_others_their_answers(tmp_path: Path) -> None:
    def in_prepare(request: Request) -> None:
        if request.sample_id == "clip-003":
            raise KeyError("no such feature")

    def in_generate(batch: Sequence[Prepared]) -> None:
        if any(one.request.sample_id == "clip-007" for one in batch):
            raise RuntimeError("shape mismatch")

    task = toy_task(tmp_path / "data", 12)
    done = run(task, tmp_path / "runs", TinyModel(fault=in_generate, prepare_fault=in_prepare), batch_size=4)
    assert errors(done) == {
        "clip-003": "KeyError: 'no such feature'",
        "clip-007": "RuntimeError: shape mismatch",
    }
    good = run(task, tmp_path / "other")
    kept = [place for place in range(12) if place not in (3, 7)]
    assert [texts(done)[place] for place in kept] == [texts(good)[place] for place in kept]


def test_progress_hears_of_every_sample_and_of_every_reason_once(tmp_path: Path) -> None:
    def fault(request: Request) -> None:
        if request.sample_id in ("clip-001", "clip-002"):
            raise ValueError("too loud")

    recorded = Recorded()
    task = toy_task(tmp_path / "data", 10)
    done = run_task(
        TinyModel(prepare_fault=fault), task, RunSettings(tmp_path / "runs", batch_size=5), recorded
    )
    assert recorded.calls[0] == ("start", 10, 0)
    assert recorded.calls[-1] == ("close",)
    advances = [call for call in recorded.calls if call[0] == "advance"]
    assert [call[1] for call in advances] == [5, 5]
    assert sum(float(str(call[2])) for call in advances) == pytest.approx(
        sum(one.seconds for one in done.entries)
    )
    notes = [str(call[1]) for call in recorded.calls if call[0] == "note"]
    assert len(notes) == 1
    assert notes[0].endswith(": too loud")


def test_a_programming_error_in_preparing_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AttributeError("a bug of ours")

    monkeypatch.setattr("evalkit.runner.engine.build_request", broken)
    with pytest.raises(AttributeError, match="a bug of ours"):
        run(toy_task(tmp_path / "data", 3), tmp_path / "runs")


@pytest.mark.fault
def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 3)
    done = run(task, tmp_path / "runs")
    with hold(done.folder), pytest.raises(RunLockedError, match=r"process \d+ is running here"):
        run(task, tmp_path / "runs")


def test_records_name_no_folder_of_this_machine(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 3)
    (tmp_path / "data/clips/001.wav").unlink()
    done = run(task, tmp_path / "runs")
    assert errors(done) == {"clip-001": "audio 'clips/001.wav': there is no such file (clips/001.wav)"}
    for file in done.folder.iterdir():
        assert str(tmp_path) not in file.read_text()
    assert json.loads((done.folder / "run.json").read_bytes())["task"]["path"] == "toy.yaml"


@pytest.mark.security
def test_hostile_names_stay_inside_the_output(tmp_path: Path) -> None:
    task = toy_task(tmp_path / "data", 2, name="../../outside")
    done = run(task, tmp_path / "runs", TinyModel(name="../../../model"))
    assert done.folder.resolve().is_relative_to((tmp_path / "runs").resolve())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data", "runs"]

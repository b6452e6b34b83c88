"""A task's samples, wherever its data is."""

from __future__ import annotations

import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.data import decode, open_samples
from evalkit.tasks import PromptError, builtin_folder, find_tasks
from evalkit.tasks.schema import Task, TaskMeta

Rows = Callable[..., Path]
Encoded = Callable[..., bytes]
TWO = [{"audio": "a.wav", "text": "one"}, {"audio": "b.wav", "text": "two"}]


@pytest.fixture
def clips(tmp_path: Path, encoded: Encoded) -> list[bytes]:
    """`data/a.wav` of half a second and `data/b.wav` of one."""
    clips = [encoded(seconds=0.5), encoded(seconds=1.0)]
    (tmp_path / "data").mkdir(exist_ok=True)
    for name, clip in zip("ab", clips, strict=True):
        (tmp_path / "data" / f"{name}.wav").write_bytes(clip)
    return clips


def texts(task: Task) -> list[str]:
    return [sample.references[0] for sample in open_samples(task)]


def test_samples_carry_audio_reference_and_length(task: Task, rows: Rows, clips: list[bytes]) -> None:
    rows(TWO)
    first, second = open_samples(task)
    assert (first.id, first.references, first.seconds) == ("000000", ("one",), 0.5)
    assert (second.id, second.references, second.seconds) == ("000001", ("two",), 1.0)
    assert first.audios[0].name == "a.wav"
    assert len(decode(second.audios[0]).samples) == 16_000
    assert first.fields == TWO[0]


def test_a_source_is_a_lazy_sequence(task: Task, rows: Rows) -> None:
    rows({"audio": "x.wav", "text": str(index)} for index in range(10))
    source = open_samples(task)
    assert len(source) == 10
    assert source[-1].references == ("9",)
    assert [sample.references[0] for sample in source[2:8:3]] == ["2", "5"]
    with pytest.raises(IndexError):
        source[10]


def test_a_limit_takes_the_first_in_file_order(task: Task, rows: Rows) -> None:
    rows({"audio": "x.wav", "text": str(index)} for index in range(10))
    assert [sample.id for sample in open_samples(task, limit=3)] == ["000000", "000001", "000002"]
    assert len(open_samples(task, limit=99)) == 10
    with pytest.raises(ValueError, match="limit must be at least 1, not 0"):
        open_samples(task, limit=0)


def test_ids_come_from_their_column(task: Task, rows: Rows) -> None:
    rows([{"id": 7, **TWO[0]}, {"id": 8, **TWO[1]}])
    assert [sample.id for sample in open_samples(task)] == ["7", "8"]


def test_an_id_that_occurs_twice_is_refused(task: Task, rows: Rows) -> None:
    path = rows([{"id": "x", **TWO[0]}, {"id": "y", **TWO[1]}, {"id": "x", **TWO[1]}])
    with pytest.raises(ValueError) as caught:
        open_samples(task)
    assert str(caught.value) == f"{path}:3: id 'x' is that of {path}:1 too"


@pytest.mark.parametrize("value", ["", None, True, [1]])
def test_an_id_must_be_text_or_a_number(task: Task, rows: Rows, value: Any) -> None:
    rows([{"id": value, **TWO[0]}])
    with pytest.raises(ValueError, match=r"test\.jsonl:1: id must be text or a number"):
        open_samples(task)


@pytest.mark.parametrize(
    ("change", "key", "column"),
    [
        ({"doc_to_audio": ("wav",)}, "doc_to_audio", "wav"),
        ({"doc_to_target": "answer"}, "doc_to_target", "answer"),
        ({"doc_to_choice": "options"}, "doc_to_choice", "options"),
        ({"meta": TaskMeta(cluster="speaker")}, "metadata.evalkit.cluster", "speaker"),
        ({"meta": TaskMeta(transcript="said")}, "metadata.evalkit.transcript", "said"),
        ({"meta": TaskMeta(slices=("text", "language"))}, "metadata.evalkit.slices", "language"),
    ],
)
def test_a_column_that_the_data_lacks_is_told_at_once(
    task: Task, rows: Rows, change: dict[str, Any], key: str, column: str
) -> None:
    path = rows(TWO)
    with pytest.raises(ValueError) as caught:
        open_samples(replace(task, **change))
    assert str(caught.value) == f"{path}:1: {key}: there is no column {column!r}; the columns are audio, text"


def test_clusters_are_values_of_their_column(task: Task, rows: Rows) -> None:
    rows([{**TWO[0], "voice": 3}, {**TWO[1], "voice": None}])
    source = open_samples(replace(task, meta=TaskMeta(cluster="voice")))
    assert source[0].cluster == "3"
    with pytest.raises(ValueError, match=r"test\.jsonl:2: the cluster column 'voice' is empty"):
        source[1]


def test_choices_and_their_numbers_become_references(task: Task, rows: Rows) -> None:
    rows([{"audio": "a.wav", "text": 1}, {"audio": "a.wav", "text": 0}])
    source = open_samples(replace(task, doc_to_choice=("joy", "fear")))
    assert [(sample.choices, sample.references) for sample in source] == [
        (("joy", "fear"), ("fear",)),
        (("joy", "fear"), ("joy",)),
    ]


def test_a_row_without_reference_is_told_with_its_line(task: Task, rows: Rows) -> None:
    rows([TWO[0], {"audio": "b.wav", "text": None}])
    with pytest.raises(PromptError, match=r"test\.jsonl:2: doc_to_target: there is no reference"):
        open_samples(task)[1]


def test_a_row_without_audio_is_a_sample_whose_audio_fails_later(task: Task, rows: Rows) -> None:
    rows([{"audio": None, "text": "one"}, {"audio": "gone.wav", "text": "two"}])
    for sample in open_samples(task):
        assert sample.seconds == 0.0
        with pytest.raises(ValueError, match=r"no audio|no such file"):
            decode(sample.audios[0])


def test_a_sample_may_have_several_audios(task: Task, rows: Rows, clips: list[bytes]) -> None:
    rows([{"left": "a.wav", "right": "b.wav", "both": ["a.wav", "b.wav"], "text": "same"}])
    for template in (("left", "right"), ("both",), ("{{ both }}",)):
        [sample] = open_samples(replace(task, doc_to_audio=template))
        assert [audio.name for audio in sample.audios] == ["a.wav", "b.wav"]
        assert sample.seconds == 1.5


def test_an_audio_path_may_be_a_template(task: Task, rows: Rows, clips: list[bytes]) -> None:
    rows([{"name": "b", "text": "two"}])
    [sample] = open_samples(replace(task, doc_to_audio=("{{ name }}.wav",)))
    assert sample.seconds == 1.0


def test_absolute_paths_are_allowed_for_data_of_ones_own(
    task: Task, rows: Rows, clips: list[bytes], tmp_path: Path
) -> None:
    rows([{"audio": str(tmp_path / "data" / "b.wav"), "text": "two"}], "elsewhere/test.jsonl")
    [sample] = open_samples(replace(task, dataset_path="elsewhere"))
    assert sample.seconds == 1.0


@pytest.mark.parametrize(
    "name", ["data/test.csv", "data/test.tsv", "data/metadata.csv", "data/test/metadata.csv"]
)
def test_tables_of_text_in_every_place(
    task: Task, raw: Rows, name: str, tmp_path: Path, encoded: Encoded
) -> None:
    separator = "\t" if name.endswith("tsv") else ","
    path = raw(separator.join(["audio", "text"]) + "\n" + separator.join(["a.wav", "one"]) + "\n", name)
    path.with_name("a.wav").write_bytes(encoded())
    [sample] = open_samples(task)
    assert (sample.references, sample.seconds) == (("one",), 0.5)


def test_a_file_may_be_named_itself(task: Task, rows: Rows) -> None:
    rows(TWO, "manifest.jsonl")
    assert texts(replace(task, dataset_path="manifest.jsonl", test_split="ignored")) == ["one", "two"]


def test_dataset_name_is_a_folder_of_local_data(task: Task, rows: Rows) -> None:
    rows(TWO, "data/en/test.jsonl")
    assert texts(replace(task, dataset_name="en")) == ["one", "two"]


def test_another_split_is_another_file(task: Task, rows: Rows) -> None:
    rows(TWO)
    rows(TWO[1:], "data/dev.jsonl")
    assert texts(replace(task, test_split="dev")) == ["two"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset_path": "gone.jsonl"}, r"dataset_path: .*gone\.jsonl does not exist"),
        ({"dataset_path": "./gone"}, "does not exist"),
        ({"dataset_path": "../gone/too"}, "does not exist"),
        ({"dataset_path": "data/gone"}, "does not exist"),
        ({"dataset_path": "a/b/c"}, "does not exist"),
        ({"dataset_path": "a\0b"}, "does not exist|not usable"),
        ({"test_split": "dev"}, r"holds none of dev\.jsonl, .* \(found: test\.jsonl\)"),
        ({"dataset_name": "fr"}, r"\(found: no such folder\)"),
        ({"test_split": "test[:10]"}, "is not a name"),
        ({"test_split": "../x"}, "is not a name"),
        ({"dataset_kwargs": {"a": 1}}, "only data sets of the hub take options"),
        ({"dataset_path": "notes.txt"}, "is no data file that is known"),
    ],
)
def test_data_that_is_not_there_says_where_it_was_looked_for(
    task: Task, rows: Rows, raw: Rows, change: dict[str, Any], message: str
) -> None:
    rows(TWO)
    raw("x", "notes.txt")
    with pytest.raises(ValueError, match=message):
        open_samples(replace(task, **change))


def test_data_without_rows_is_an_error(task: Task, raw: Rows) -> None:
    raw("\n\n")
    with pytest.raises(ValueError, match="'data' holds no rows"):
        open_samples(task)


@pytest.mark.security
@pytest.mark.parametrize("audio", ["../../../../etc/hostname", "/etc/hostname"])
def test_builtin_data_cannot_leave_its_folder(
    task: Task, rows: Rows, audio: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows([{"audio": audio, "text": "x"}])
    monkeypatch.setattr("evalkit.data.locate.builtin_folder", lambda: tmp_path)
    with pytest.raises(ValueError, match=r"test\.jsonl:1: audio '.*' leaves the folder of the built-in data"):
        open_samples(task)[0]


@pytest.mark.security
def test_a_builtin_task_cannot_name_data_outside(
    task: Task, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows(TWO, "outside/test.jsonl")
    (tmp_path / "inside").mkdir()
    monkeypatch.setattr("evalkit.data.locate.builtin_folder", lambda: tmp_path / "inside")
    task = replace(task, path=tmp_path / "inside" / "a.yaml", dataset_path="../outside")
    with pytest.raises(ValueError, match="leaves the folder of the built-in tasks"):
        open_samples(task)


@pytest.mark.parametrize("name", ["mini_asr_en", "mini_vocal_expression", "mini_emotion_acted"])
def test_the_mini_tasks_have_readable_clips(name: str) -> None:
    [task] = find_tasks().resolve(name)
    source = open_samples(task)
    assert len(source) >= 150
    assert all(0.05 < sample.seconds < 60 for sample in source)
    assert decode(source[0].audios[0]).seconds == pytest.approx(source[0].seconds, abs=0.01)
    assert source[0].audios[0].path is not None
    assert source[0].audios[0].path.is_relative_to(builtin_folder())


def test_a_wav_file_of_the_standard_library_is_read(task: Task, rows: Rows, tmp_path: Path) -> None:
    rows([{"audio": "plain.wav", "text": "x"}])
    with wave.open(str(tmp_path / "data" / "plain.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"\1\0" * 1600)
    [sample] = open_samples(task)
    assert decode(sample.audios[0]).seconds == pytest.approx(0.1)

"""Samples from binary tables: Parquet, saved data sets, the hub, streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.data import decode, open_samples
from evalkit.tasks.schema import Task

Rows = Callable[..., Path]
Encoded = Callable[..., bytes]


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


def write_parquet(path: Path, clips: list[bytes], **options: Any) -> None:
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"id": f"{path.stem}-{index}", "audio": {"bytes": clip, "path": "inner.wav"}, "text": text}
        for index, (clip, text) in enumerate(zip(clips, ["one", "two"], strict=True))
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, **options)


@pytest.mark.parametrize(
    "name", ["data/test.parquet", "data/test-00000-of-00001.parquet", "data/data/test-0.parquet"]
)
def test_parquet_with_audio_inside(task: Task, tmp_path: Path, clips: list[bytes], name: str) -> None:
    write_parquet(tmp_path / name, clips, row_group_size=1)
    source = open_samples(task)
    assert [sample.seconds for sample in source] == [0.5, 1.0]
    assert source[1].references == ("two",)
    assert "audio" not in source[0].fields, "encoded audio is no field for prompts and journals"
    assert source[0].audios[0].name == "inner.wav"
    assert len(decode(source[0].audios[0]).samples) == 8_000


def test_parquet_shards_are_one_data_set(task: Task, tmp_path: Path, clips: list[bytes]) -> None:
    for number in range(3):
        write_parquet(tmp_path / f"data/test-{number:05d}-of-00003.parquet", clips)
    source = open_samples(task)
    assert len(source) == 6
    assert source[5].id == "test-00002-of-00003-1"


def test_what_is_no_parquet_says_so(task: Task, raw: Rows) -> None:
    path = raw(b"PAR1 nonsense", "data/test.parquet")
    with pytest.raises(ValueError, match="cannot be read as Parquet") as caught:
        open_samples(task)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.fixture
def saved(tmp_path: Path, clips: list[bytes]) -> Path:
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "data"
    paths = [str(folder / "a.wav"), str(folder / "b.wav")]
    data = datasets.Dataset.from_dict({"id": ["x", "y"], "audio": paths, "text": ["one", "two"]})
    data = data.cast_column("audio", datasets.Audio(sampling_rate=16_000, decode=False))
    datasets.DatasetDict({"test": data}).save_to_disk(str(tmp_path / "saved"))
    return tmp_path / "saved"


def test_a_folder_of_save_to_disk(task: Task, saved: Path) -> None:
    source = open_samples(replace(task, dataset_path="saved"))
    assert [(sample.id, sample.seconds) for sample in source] == [("x", 0.5), ("y", 1.0)]
    assert [sample.references for sample in source] == [("one",), ("two",)]
    with pytest.raises(ValueError, match="has no split 'dev'; there are test"):
        open_samples(replace(task, dataset_path="saved", test_split="dev"))


def test_a_data_set_of_the_hub_is_loaded_by_datasets(
    task: Task, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    asked: list[Any] = []

    def load(path: str, name: str | None, *, split: str, **options: Any) -> Any:
        asked.append((path, name, split, options))
        return datasets.load_from_disk(str(saved))[split].cast_column("audio", datasets.Audio(16_000))

    monkeypatch.setattr(datasets, "load_dataset", load)
    task = replace(task, dataset_path="org/corpus", dataset_name="en", dataset_kwargs={"revision": "abc"})
    assert texts(task) == ["one", "two"]
    assert asked == [("org/corpus", "en", "test", {"revision": "abc"})]


def test_a_data_set_of_the_hub_that_cannot_be_had_is_one_message(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")

    def load(*_: Any, **__: Any) -> Any:
        raise ConnectionError("Couldn't reach 'org/corpus' on the Hub\n(timeout)")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(ValueError) as caught:
        open_samples(replace(task, dataset_path="org/corpus"))
    assert str(caught.value) == (
        f"{task.path}: data set 'org/corpus' of the hub cannot be loaded: "
        "Couldn't reach 'org/corpus' on the Hub (timeout)"
    )


@pytest.mark.security
def test_remote_code_is_not_asked_for(task: Task) -> None:
    with pytest.raises(ValueError, match="dataset_kwargs: trust_remote_code is not supported"):
        open_samples(replace(task, dataset_path="org/corpus", dataset_kwargs={"trust_remote_code": True}))


class Streamed:
    """An `IterableDataset` over many rows that counts those it gives away."""

    given = 0

    def __init__(self, clip: bytes) -> None:
        import datasets

        self.clip = clip
        self.features = datasets.Features(
            {"audio": datasets.Audio(decode=False), "text": datasets.Value("string")}
        )

    def cast_column(self, name: str, feature: Any) -> Streamed:
        return self

    def __iter__(self) -> Any:
        for number in range(1000):
            Streamed.given += 1
            yield {"audio": {"bytes": self.clip, "path": "a.wav"}, "text": f"text {number}"}

    def take(self, count: int) -> Any:
        from itertools import islice

        self.__class__ = type(
            "Taken", (Streamed,), {"__iter__": lambda _: islice(Streamed.__iter__(_), count)}
        )
        return self


def test_a_stream_is_fetched_as_far_as_it_is_asked_for(
    task: Task, encoded: Encoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    asked: list[Any] = []

    def load(path: str, name: str | None, *, split: str, **options: Any) -> Any:
        asked.append(options)
        return Streamed(encoded(seconds=0.1))

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    Streamed.given = 0
    task = replace(task, dataset_path="org/corpus", dataset_kwargs={"streaming": True, "revision": "abc"})
    samples = open_samples(task, limit=5)
    assert [sample.references[0] for sample in samples] == [f"text {number}" for number in range(5)]
    assert len(decode(samples[0].audios[0]).samples) == 1600
    assert asked == [{"streaming": True, "revision": "abc"}]
    assert Streamed.given <= 16, "one block, not a thousand rows"
    assert len(open_samples(task, limit=6)) == 6
    assert len(asked) == 1, "what was fetched is read again"
    assert len(open_samples(replace(task, dataset_kwargs={"streaming": True}), limit=5)) == 5
    assert len(asked) == 2, "another revision is another file"

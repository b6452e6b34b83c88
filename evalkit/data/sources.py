"""Samples of a task, made from its rows when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit.data.locate import is_builtin, open_rows
from evalkit.data.opening import duration
from evalkit.data.rows import Rows
from evalkit.tasks.answers import choices_of, references_of
from evalkit.tasks.schema import AudioRef, Sample, Task, Template
from evalkit.tasks.templates import evaluate, is_template

# The column of NeMo manifests that names the recording; `offset` and `duration` beside it say which part.
NEMO_AUDIO = "audio_filepath"
ARCHIVE = ".zip/"


def open_samples(task: Task, *, limit: int | None = None) -> SampleSource:
    """The samples of a task in file order; `limit` takes the first so many.

    Relative audio paths start at the file that names them; absolute ones are allowed, but not in
    built-in tasks. Raises ValueError with file:line for data that cannot be read, lacks a
    column, or repeats an id.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    rows = open_rows(task, limit)
    count = len(rows) if limit is None else min(limit, len(rows))
    if count == 0:
        raise ValueError(f"{task.path}: dataset_path: {task.dataset_path!r} holds no rows")
    source = SampleSource(task, rows, count)
    source.check()
    return source


class SampleSource(Sequence[Sample]):
    """A lazy sequence of samples: each access reads its row and the headers of its audio, nothing more."""

    def __init__(self, task: Task, rows: Rows, count: int) -> None:
        self.task = task
        self.columns = rows.columns
        self._rows = rows
        self._count = count
        name = task.meta.id
        self._id_column = name if name in rows.columns else None
        # The audio of a built-in task must lie in its folder.
        self._home = rows.folder.resolve() if rows.folder is not None and is_builtin(task) else None
        # The files that the rows are read from; none for those that a library keeps.
        self.files: tuple[Path, ...] = getattr(rows, "files", ())

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self.sample(at) for at in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(f"sample {index} of {self._count}")
        return self.sample(index % self._count)

    def __iter__(self) -> Iterator[Sample]:
        return (self.sample(index) for index in range(self._count))

    def where(self, index: int) -> str:
        """The place of a sample in the data: `test.jsonl:17`."""
        return self._rows.where(index)

    def sample(self, index: int) -> Sample:
        """Raises ValueError (PromptError for templates) naming the row."""
        row = self._rows[index]
        where = self._rows.where(index)
        identifier = self._id(row, index)
        audios = self._audios(row, identifier, where)
        fields = {key: value for key, value in row.items() if not _is_audio(value)}
        choices = choices_of(self.task, fields, where)
        return Sample(
            id=identifier,
            fields=fields,
            audios=audios,
            references=references_of(self.task, fields, choices, where),
            choices=choices,
            cluster=self._cluster(row, where),
            seconds=sum(duration(audio) for audio in audios),
        )

    def check(self) -> None:
        """Columns that the task names exist and ids are unique. Raises ValueError."""
        for key, name in _named_columns(self.task):
            if name not in self.columns:
                known = ", ".join(self.columns)
                place = self._rows.where(0)
                raise ValueError(f"{place}: {key}: there is no column {name!r}; the columns are {known}")
        if self._id_column is None:
            return
        first: dict[str, int] = {}
        for index, value in zip(range(self._count), self._rows.column(self._id_column), strict=False):
            identifier = self._checked_id(value, index)
            if identifier in first:
                before = self._rows.where(first[identifier])
                raise ValueError(f"{self._rows.where(index)}: id {identifier!r} is that of {before} too")
            first[identifier] = index

    def _id(self, row: Mapping[str, Any], index: int) -> str:
        if self._id_column is None:
            return f"{index:06d}"
        return self._checked_id(row[self._id_column], index)

    def _checked_id(self, value: Any, index: int) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise ValueError(f"{self._rows.where(index)}: id must be text or a number, not {value!r:.60}")
        return str(value)

    def _cluster(self, row: Mapping[str, Any], where: str) -> str:
        if not self.task.meta.cluster:
            return ""
        value = row[self.task.meta.cluster]
        if value is None or value == "":
            raise ValueError(f"{where}: the cluster column {self.task.meta.cluster!r} is empty")
        return str(value)

    def _audios(self, row: Mapping[str, Any], identifier: str, where: str) -> tuple[AudioRef, ...]:
        refs: list[AudioRef] = []
        for template in self.task.doc_to_audio:
            value = evaluate(template, "doc_to_audio", row, where)
            if template == NEMO_AUDIO and row.get("offset") is not None:
                value = {"path": value, "start": row["offset"], "seconds": row.get("duration")}
            values = value if isinstance(value, list) and not _is_numbers(value) else [value]
            refs.extend(self._audio(item, identifier, where) for item in values)
        return tuple(refs)

    def _audio(self, value: Any, identifier: str, where: str) -> AudioRef:
        """A path, encoded bytes, or `{bytes, path}` / `{array, sampling_rate}` as `datasets` has them.

        `{path, start, seconds}` is a part of a recording; a path may lead into a zip: `clips.zip/a/1.wav`.
        """
        if value is None or value == "":
            return AudioRef(identifier)
        if isinstance(value, str):
            return self._file(value, where)
        if isinstance(value, bytes):
            return AudioRef(identifier, data=value)
        if isinstance(value, Mapping) and value.get("bytes") is not None:
            return AudioRef(str(value.get("path") or identifier), data=value["bytes"])
        if isinstance(value, Mapping) and value.get("array") is not None:
            return AudioRef(identifier, samples=value["array"], rate=int(value.get("sampling_rate") or 0))
        if isinstance(value, Mapping) and isinstance(value.get("path"), str):
            return replace(self._file(value["path"], where), **_times(value, where))
        raise ValueError(f"{where}: doc_to_audio: {type(value).__name__} is no path, bytes or array")

    def _file(self, text: str, where: str) -> AudioRef:
        path = self._path(text, where)
        archive, inside, member = text.partition(ARCHIVE)
        if inside and not path.exists():
            return AudioRef(text, path=self._path(archive + ARCHIVE.rstrip("/"), where), member=member)
        return AudioRef(text, path=path)

    def _path(self, text: str, where: str) -> Path:
        folder = self._rows.folder
        path = Path(text) if folder is None else folder / text
        if self._home is not None and not path.resolve().is_relative_to(self._home):
            raise ValueError(f"{where}: audio {text!r} leaves the folder of the built-in data")
        return path


def _named_columns(task: Task) -> list[tuple[str, str]]:
    """(key, column) for everything in a task that must be a column."""
    templates: list[tuple[str, Template | tuple[str, ...]]] = [
        *(("doc_to_audio", template) for template in task.doc_to_audio),
        ("doc_to_target", task.doc_to_target),
        ("doc_to_choice", task.doc_to_choice),
    ]
    named = [(key, value) for key, value in templates if isinstance(value, str) and _is_name(value)]
    meta = task.meta
    named += [("metadata.evalkit.cluster", meta.cluster)] if meta.cluster else []
    named += [("metadata.evalkit.transcript", meta.transcript)] if meta.transcript else []
    named += [("metadata.evalkit.slices", name) for name in meta.slices]
    named += [("metadata.evalkit.id", meta.id)] if meta.id not in (None, "id") else []
    return named


def _times(value: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Start and length in seconds. Raises ValueError for what is neither a number nor left out."""
    found: dict[str, Any] = {}
    for key, name in (("start", "start"), ("seconds", "length")):
        given = value.get(key)
        if given is None or given == "":
            continue
        try:
            found[name] = float(given)
        except (TypeError, ValueError):
            raise ValueError(
                f"{where}: doc_to_audio: {key} is {given!r:.60}, not a number of seconds"
            ) from None
        if not math.isfinite(found[name]):
            raise ValueError(f"{where}: doc_to_audio: {key} is {given!r:.60}, not a number of seconds")
    return found


def _is_name(text: str) -> bool:
    return text != "" and not is_template(text)


def _is_audio(value: Any) -> bool:
    """Encoded or decoded audio, which is no field for prompts or journals."""
    if isinstance(value, bytes):
        return True
    return isinstance(value, Mapping) and ("bytes" in value or "array" in value)


def _is_numbers(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(item, int | float) for item in value[:8])

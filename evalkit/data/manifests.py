"""Kaldi-style folders: `wav.scp` with `text`, `utt2spk` and the like beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.data.rows import TextRows

SCRIPT = "wav.scp"
# Every other file of a Kaldi folder that maps an utterance to one value, and the column it becomes.
COLUMNS = {"text": "text", "utt2spk": "speaker", "utt2lang": "language"}


def kaldi_rows(folder: Path, limit: int | None = None) -> KaldiRows:
    """One row an utterance of `wav.scp`, in its order: id, audio, and text, speaker, language where there are files.

    Raises ValueError with file:line for a command in place of a path, an utterance that another file lacks,
    and `segments`, which cut utterances out of recordings.
    """
    if (folder / "segments").is_file():
        raise ValueError(
            f"{folder / 'segments'}: utterances cut out of recordings are not supported; "
            "extract them (extract_segments.sh) and point wav.scp at the clips"
        )
    return KaldiRows(folder, limit)


class KaldiRows:
    """Rows of a Kaldi folder; each file is indexed by byte offset, so that memory holds ids and places only."""

    def __init__(self, folder: Path, limit: int | None) -> None:
        self.folder: Path | None = folder
        self._audio = _pairs(folder / SCRIPT, limit)
        self._ids = [row["id"] for row in _values(self._audio)]
        self._others: dict[str, TextRows] = {}
        self._places: dict[str, dict[str, int]] = {}
        for name, column in COLUMNS.items():
            if (folder / name).is_file():
                rows = _pairs(folder / name, None)
                self._others[column] = rows
                self._places[column] = {row["id"]: index for index, row in enumerate(_values(rows))}
        self.columns: tuple[str, ...] = ("id", "audio", *self._others)
        for index, row in enumerate(_values(self._audio)):
            self._check(index, row)

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        row = {"id": self._ids[index], "audio": self._audio[index]["value"]}
        for column, rows in self._others.items():
            row[column] = rows[self._places[column][self._ids[index]]]["value"]
        return row

    def column(self, name: str) -> Iterator[Any]:
        return (self[index][name] for index in range(len(self)))

    def where(self, index: int) -> str:
        return self._audio.where(index)

    def _check(self, index: int, row: Mapping[str, Any]) -> None:
        if row["value"].endswith("|"):
            raise ValueError(
                f"{self.where(index)}: is a command, and evalkit runs none; write the audio to a file"
            )
        for column, places in self._places.items():
            if row["id"] not in places:
                raise ValueError(
                    f"{self.where(index)}: {row['id']!r} is missing from {self._others[column].path}"
                )


def _pairs(path: Path, limit: int | None) -> TextRows:
    """Lines of `key value...`; an empty value is an empty text."""

    def parse(text: str, where: str) -> Mapping[str, Any]:
        key, _, value = text.strip().partition(" ")
        return {"id": key, "value": value.strip()}

    rows = TextRows(path, parse)
    start = 0
    for end, number, text in rows.lines():
        if limit is not None and len(rows) >= limit:
            break
        if text.strip():
            rows.add(start, end - start, number)
        start = end
    rows.columns = ("id", "value")
    return rows


def _values(rows: TextRows) -> Iterator[Mapping[str, Any]]:
    return (rows[index] for index in range(len(rows)))

"""WebDataset tars: members of one name but for the suffix are one row. Only headers are read beforehand."""

from __future__ import annotations

import json
import os
import tarfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AUDIO = frozenset(["wav", "flac", "mp3", "ogg", "opus", "aiff", "au", "sph"])
TEXT = frozenset(["txt", "text", "cls"])


@dataclass(frozen=True, slots=True)
class _Member:
    suffix: str
    name: str
    start: int
    size: int


class TarRows:
    """Rows of plain (not compressed) tars, in the order of their members.

    A row holds `__key__`, `audio` (encoded bytes), every text member under its suffix, and the keys of a JSON
    member. Raises ValueError for what is no plain tar and for a row that lacks a member of the first.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.folder: Path | None = paths[0].parent
        self._paths = tuple(paths)
        self._files = [path.open("rb") for path in paths]
        weakref.finalize(self, _close, self._files)
        self._rows: list[tuple[int, str, tuple[_Member, ...]]] = []
        for number, path in enumerate(paths):
            self._rows += [(number, key, members) for key, members in _samples(path)]
        suffixes = {member.suffix for member in self._rows[0][2]} if self._rows else set()
        for index, (_, _, members) in enumerate(self._rows):
            lacking = sorted(suffixes - {member.suffix for member in members})
            if lacking:
                raise ValueError(f"{self.where(index)}: has no .{lacking[0]}, which the first sample has")
        self.columns: tuple[str, ...] = tuple(self[0]) if self._rows else ()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        number, key, members = self._rows[index]
        row: dict[str, Any] = {"__key__": key}
        for member in members:
            raw = os.pread(self._files[number].fileno(), member.size, member.start)
            row.update(_values(member, raw, self.where(index)))
        return row

    def column(self, name: str) -> Iterator[Any]:
        return (self[index][name] for index in range(len(self)))

    def where(self, index: int) -> str:
        number, key, _ = self._rows[index]
        return f"{self._paths[number]}:{key}"


def _close(files: Sequence[Any]) -> None:
    for file in files:
        file.close()


def _samples(path: Path) -> Iterator[tuple[str, tuple[_Member, ...]]]:
    """Runs of members that share a key: the name up to the first dot of its last part."""
    found: dict[str, list[_Member]] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                if not info.isfile():
                    continue
                folder, _, base = info.name.rpartition("/")
                stem, _, suffix = base.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                found.setdefault(key, []).append(
                    _Member(suffix.lower(), info.name, info.offset_data, info.size)
                )
    except (tarfile.TarError, OSError) as error:
        raise ValueError(f"{path}: is no plain tar file ({error}); unpack compressed ones first") from None
    return ((key, tuple(members)) for key, members in found.items())


def _values(member: _Member, raw: bytes, where: str) -> dict[str, Any]:
    if member.suffix in AUDIO:
        return {"audio": {"bytes": raw, "path": member.name}}
    if member.suffix not in TEXT and member.suffix != "json":
        return {}
    try:
        text = raw.decode("utf-8")
        value = json.loads(text) if member.suffix == "json" else text.rstrip("\n")
    except ValueError as error:
        raise ValueError(f"{where}.{member.suffix}: cannot be read: {error}") from None
    if member.suffix != "json":
        return {member.suffix: value}
    if not isinstance(value, dict):
        raise ValueError(f"{where}.json: must be a JSON object")
    return value

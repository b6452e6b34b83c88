"""Rows of binary tables: Parquet files, arrow folders (`save_to_disk`) and data sets of the hub."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from evalkit.artifacts import cache_dir

# Rows of a stream that are fetched and written together.
STREAM_BLOCK = 16


class ParquetRows:
    """Rows of Parquet files, one row group in memory at a time. Raises ValueError for what is no Parquet."""

    def __init__(self, paths: Sequence[Path]) -> None:
        import pyarrow
        import pyarrow.parquet

        self.folder: Path | None = paths[0].parent
        self._paths = self.files = tuple(paths)
        self._lock = threading.Lock()
        self._group: tuple[int, Any] = (-1, None)
        self._starts: list[int] = []
        self._groups: list[tuple[int, int]] = []
        self._length = 0
        self._files: list[Any] = []
        for number, path in enumerate(paths):
            try:
                file = pyarrow.parquet.ParquetFile(path)
            except (pyarrow.ArrowException, OSError) as error:
                raise ValueError(f"{path}: cannot be read as Parquet: {_one_line(error)}") from None
            names = tuple(file.schema_arrow.names)
            if self._files and names != self.columns:
                raise ValueError(f"{path}: has other columns than {paths[0]}")
            self.columns: tuple[str, ...] = names
            self._files.append(file)
            for group in range(file.num_row_groups):
                self._starts.append(self._length)
                self._groups.append((number, group))
                self._length += file.metadata.row_group(group).num_rows

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        at = bisect_right(self._starts, index) - 1
        table = self._table(at)
        row: dict[str, Any] = table.slice(index - self._starts[at], 1).to_pylist()[0]
        return row

    def where(self, index: int) -> str:
        number, _ = self._groups[bisect_right(self._starts, index) - 1]
        return f"{self._paths[number]}, row {index}"

    def column(self, name: str) -> Iterator[Any]:
        for file in self._files:
            for batch in file.iter_batches(columns=[name]):
                yield from batch.column(0).to_pylist()

    def _table(self, at: int) -> Any:
        import pyarrow

        number, group = self._groups[at]
        with self._lock:
            if self._group[0] != at:
                try:
                    self._group = (at, self._files[number].read_row_group(group))
                except (pyarrow.ArrowException, OSError) as error:
                    raise ValueError(f"{self._paths[number]}: is damaged: {_one_line(error)}") from None
            return self._group[1]


class ArrowRows:
    """Rows of a `datasets.Dataset` whose audio columns stay encoded."""

    def __init__(self, dataset: Any, name: str) -> None:
        dataset = _encoded(dataset)
        self.folder: Path | None = None
        self._dataset = dataset
        self._name = name
        self.columns: tuple[str, ...] = tuple(dataset.column_names)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        row: Mapping[str, Any] = self._dataset[index]
        return row

    def column(self, name: str) -> Iterator[Any]:
        return iter(self._dataset.select_columns([name])[name])

    def where(self, index: int) -> str:
        return f"{self._name}, row {index}"


def _encoded(dataset: Any) -> Any:
    """The same data with audio columns left as encoded bytes."""
    from datasets import Audio

    for column, feature in (dataset.features or {}).items():
        if isinstance(feature, Audio):
            dataset = dataset.cast_column(column, Audio(decode=False))
    return dataset


def saved_rows(folder: Path, split: str) -> ArrowRows:
    """A folder written by `save_to_disk`. Raises ValueError for a missing split or a damaged folder."""
    import datasets
    import pyarrow

    try:
        loaded = datasets.load_from_disk(str(folder))
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder}: cannot be read as a saved data set: {_one_line(error)}") from None
    if isinstance(loaded, datasets.DatasetDict):
        if split not in loaded:
            raise ValueError(f"{folder}: has no split {split!r}; there are {', '.join(loaded)}")
        loaded = loaded[split]
    return ArrowRows(loaded, f"{folder} ({split})")


def hub_rows(
    path: str,
    name: str | None,
    split: str,
    options: Mapping[str, Any],
    asked: str,
    limit: int | None = None,
) -> ArrowRows | ParquetRows:
    """A data set of the hub, downloaded by `datasets` into its own cache.

    With the option `streaming` its first `limit` rows (all without one) are fetched into a file of evalkit's
    cache and read from there, so that a few samples of a large data set cost little.
    Raises ValueError naming `asked` (where the task asks for it) if it cannot be loaded.
    """
    if options.get("trust_remote_code"):
        raise ValueError(f"{asked}: dataset_kwargs: trust_remote_code is not supported; remove it")
    rest = {key: value for key, value in options.items() if key != "streaming"}
    if options.get("streaming"):
        return ParquetRows([_fetched_stream(path, name, split, rest, asked, limit)])
    return ArrowRows(_load(path, name, split, rest, asked), f"{path} ({split})")


def _load(path: str, name: str | None, split: str, options: Mapping[str, Any], asked: str) -> Any:
    import datasets

    with _told(asked, path):
        return datasets.load_dataset(path, name, split=split, **options)


@contextlib.contextmanager
def _told(asked: str, path: str) -> Iterator[None]:
    """What `datasets` and the network raise, as one message."""
    import datasets
    import pyarrow

    try:
        yield
    except (
        datasets.exceptions.DatasetsError,
        pyarrow.ArrowException,
        OSError,
        ValueError,
        TypeError,
        RuntimeError,
        ImportError,
    ) as error:
        raise ValueError(
            f"{asked}: data set {path!r} of the hub cannot be loaded: {_one_line(error)}"
        ) from None


def _fetched_stream(
    path: str, name: str | None, split: str, options: Mapping[str, Any], asked: str, limit: int | None
) -> Path:
    """The file with the first rows of a stream: one that has enough of them, or a new one, written whole or not."""
    described = json.dumps([path, name, split, dict(options)], sort_keys=True, default=str)
    key = hashlib.sha256(described.encode()).hexdigest()[:16]
    folder = cache_dir() / "streams"
    wanted = limit if limit is None else -(-(limit + 1) // STREAM_BLOCK) * STREAM_BLOCK
    for file in sorted(folder.glob(f"{key}-*.parquet")):
        count = file.stem.rpartition("-")[2]
        if count == "all" or (limit is not None and count.isdecimal() and int(count) >= limit):
            return file
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{key}-{wanted or 'all'}.parquet"
    new = target.with_suffix(f".{os.getpid()}.new")
    stream = _load(path, name, split, {**options, "streaming": True}, asked)
    with _told(asked, path):
        _write_stream(_encoded(stream), new, wanted)
    new.replace(target)
    return target


def _write_stream(stream: Any, target: Path, wanted: int | None) -> None:
    import pyarrow
    import pyarrow.parquet

    schema = stream.features.arrow_schema.remove_metadata() if stream.features else None
    rows = iter(stream if wanted is None else stream.take(wanted))
    writer: Any = None
    try:
        while block := list(islice(rows, STREAM_BLOCK)):
            table = pyarrow.Table.from_pylist(block, schema=schema)
            schema = table.schema
            writer = writer or pyarrow.parquet.ParquetWriter(target, schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise ValueError("it holds no rows")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__

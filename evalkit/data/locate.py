"""Where a task's data is: `dataset_path` to rows."""

from __future__ import annotations

import re
from pathlib import Path

from evalkit.data.rows import Rows, csv_rows, jsonl_rows
from evalkit.tasks.discovery import builtin_folder
from evalkit.tasks.schema import Task

TEXT_SUFFIXES = (".jsonl", ".csv", ".tsv")
SUFFIXES = (*TEXT_SUFFIXES, ".parquet")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")


def open_rows(task: Task, limit: int | None = None) -> Rows:
    """The rows of the task's test split, in file order.

    `dataset_path` is looked for beside the task's YAML: a JSONL, CSV, TSV or Parquet file, or a folder that
    holds `<split>.<suffix>`, `<split>-*.parquet` (also below `data/`), an audio folder's `metadata.<suffix>`
    (there or below `<split>/`), or what `save_to_disk` wrote. What is not there and reads like `org/name` is
    a data set of the hub. Raises ValueError saying where it looked.
    """
    asked = str(task.path)
    local = local_path(task)
    if local is not None:
        if task.dataset_kwargs:
            raise ValueError(f"{asked}: dataset_kwargs: only data sets of the hub take options; remove them")
        return _local_rows(local, task, limit)
    if is_builtin(task):
        raise ValueError(f"{asked}: dataset_path: {task.dataset_path!r} does not exist; reinstall evalkit")
    from evalkit.data.tables import hub_rows

    return hub_rows(task.dataset_path, task.dataset_name, task.test_split, task.dataset_kwargs, asked)


def is_builtin(task: Task) -> bool:
    """Whether a task came with evalkit: its data must then lie in its folder."""
    return task.path.resolve().is_relative_to(builtin_folder().resolve())


def local_path(task: Task) -> Path | None:
    """The file or folder that `dataset_path` names, None for a data set of the hub.

    Raises ValueError for a path that cannot be a hub id and does not exist, or that leaves a built-in folder.
    """
    text = task.dataset_path
    path = task.path.parent / text
    try:
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise ValueError(f"{task.path}: dataset_path: {text!r} is not usable ({error})") from None
    if exists:
        if is_builtin(task) and not path.resolve().is_relative_to(builtin_folder().resolve()):
            raise ValueError(f"{task.path}: dataset_path: {text!r} leaves the folder of the built-in tasks")
        return path
    first = task.path.parent / Path(text).parts[0]
    if text.endswith(SUFFIXES) or not _HUB_ID.fullmatch(text) or ("/" in text and first.exists()):
        raise ValueError(f"{task.path}: dataset_path: {path} does not exist")
    return None


def _local_rows(path: Path, task: Task, limit: int | None) -> Rows:
    if path.is_file():
        return _file_rows([path], limit)
    if task.dataset_name:
        path = path / task.dataset_name
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        from evalkit.data.tables import saved_rows

        return saved_rows(path, task.test_split)
    files = _split_files(path, task.test_split)
    if not files:
        found = (
            ", ".join(sorted(entry.name for entry in path.iterdir())[:10])
            if path.is_dir()
            else "no such folder"
        )
        names = ", ".join(f"{task.test_split}{suffix}" for suffix in SUFFIXES)
        raise ValueError(
            f"{task.path}: dataset_path: {path} holds none of {names}, metadata.jsonl (found: {found})"
        )
    return _file_rows(files, limit)


def _split_files(folder: Path, split: str) -> list[Path]:
    if not re.fullmatch(r"[\w.-]+", split) or split.startswith("."):
        raise ValueError(f"test_split {split!r} is not a name; a part of a split is what --limit is for")
    plain = [folder / f"{split}{suffix}" for suffix in SUFFIXES]
    meta = [base / f"metadata{suffix}" for base in (folder / split, folder) for suffix in SUFFIXES]
    for candidate in plain:
        if candidate.is_file():
            return [candidate]
    for base in (folder, folder / "data"):
        if shards := sorted(base.glob(f"{split}-*.parquet")):
            return shards
    return next(([candidate] for candidate in meta if candidate.is_file()), [])


def _file_rows(paths: list[Path], limit: int | None) -> Rows:
    path = paths[0]
    if path.suffix == ".jsonl":
        return jsonl_rows(path, limit)
    if path.suffix in (".csv", ".tsv"):
        return csv_rows(path, limit)
    if path.suffix == ".parquet":
        from evalkit.data.tables import ParquetRows

        return ParquetRows(paths)
    raise ValueError(f"{path}: is no data file that is known ({', '.join(SUFFIXES)})")

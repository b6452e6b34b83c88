"""Where a task's data is: `dataset_path` to rows."""

from __future__ import annotations

import os
import re
from pathlib import Path

from evalkit.data.manifests import SCRIPT, kaldi_rows
from evalkit.data.rows import Rows, csv_rows, jsonl_rows
from evalkit.tasks.discovery import builtin_folder
from evalkit.tasks.schema import Task

TEXT_SUFFIXES = (".jsonl", ".csv", ".tsv")
SUFFIXES = (*TEXT_SUFFIXES, ".parquet", ".tar")
DATA_VARIABLE = "EVALKIT_DATA"
_OWN_COPY = f"${DATA_VARIABLE}/"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")


def open_rows(task: Task, limit: int | None = None) -> Rows:
    """The rows of the task's test split, in file order.

    `dataset_path` is looked for beside the task's YAML: a JSONL, CSV, TSV or Parquet file, or a folder that
    holds `<split>.<suffix>`, `<split>-*.parquet` (also below `data/`), `<split>/*.parquet`, an audio folder's
    `metadata.<suffix>` (there or below `<split>/`), or what `save_to_disk` wrote. What is not there and reads
    like `org/name` is a data set of the hub, taken from `$EVALKIT_DATA/org/name` if there is a copy.
    `$EVALKIT_DATA/name` is data that everybody has to get for themselves.
    Raises ValueError saying where it looked.
    """
    asked = str(task.path)
    local = local_path(task)
    if local is not None:
        copies = _data_folder()
        of_the_hub = copies is not None and local == copies / task.dataset_path
        if task.dataset_kwargs and not of_the_hub:
            raise ValueError(f"{asked}: dataset_kwargs: only data sets of the hub take options; remove them")
        return _local_rows(local, task, limit)
    from evalkit.data.tables import hub_rows

    return hub_rows(task.dataset_path, task.dataset_name, task.test_split, task.dataset_kwargs, asked, limit)


def is_builtin(task: Task) -> bool:
    """Whether a task came with evalkit: its data must then lie in its folder."""
    return task.path.resolve().is_relative_to(builtin_folder().resolve())


def at_hand(task: Task) -> bool:
    """Whether a task's data need not be fetched: they are here, or what is said of them is wrong."""
    if task.dataset_path.startswith(_OWN_COPY):
        copies = _data_folder()
        return copies is not None and (copies / task.dataset_path.removeprefix(_OWN_COPY)).exists()
    try:
        return local_path(task) is not None
    except ValueError:
        return True


def local_path(task: Task) -> Path | None:
    """The file or folder that `dataset_path` names, None for a data set of the hub that is not copied here.

    Raises ValueError for a path that cannot be a hub id and does not exist, or that leaves a built-in folder.
    """
    text = task.dataset_path
    if text.startswith(_OWN_COPY):
        return _own_copy(task)
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
    copies = _data_folder()
    return copies / text if copies is not None and (copies / text).exists() else None


def _data_folder() -> Path | None:
    value = os.environ.get(DATA_VARIABLE)
    return Path(value).expanduser() if value else None


def _own_copy(task: Task) -> Path:
    """The data that a user keeps under `$EVALKIT_DATA`. Raises ValueError saying how to get them."""
    name = task.dataset_path.removeprefix(_OWN_COPY)
    folder = _data_folder()
    how = f" ({task.meta.gating})" if task.meta.gating else ""
    if folder is None:
        raise ValueError(
            f"{task.path}: dataset_path: these data cannot be downloaded by evalkit{how}; put them under a "
            f"folder as {name} and set {DATA_VARIABLE} to that folder"
        )
    if not (folder / name).exists():
        raise ValueError(f"{task.path}: dataset_path: {folder / name} does not exist{how}")
    return folder / name


def _local_rows(path: Path, task: Task, limit: int | None) -> Rows:
    if path.is_file():
        return _file_rows([path], limit)
    if task.dataset_name:
        path = path / task.dataset_name
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        from evalkit.data.tables import saved_rows

        return saved_rows(path, task.test_split)
    for folder in (path / task.test_split, path):
        if (folder / SCRIPT).is_file():
            return kaldi_rows(folder, limit)
    files = [file for split in task.test_split.split("+") for file in _files_of(path, task, split)]
    if len(files) > 1 and any(file.suffix not in (".parquet", ".tar") for file in files):
        raise ValueError(f"{task.path}: test_split: only splits of Parquet or tars can be joined by +")
    return _file_rows(files, limit)


def _files_of(path: Path, task: Task, split: str) -> list[Path]:
    """The files of one split. Raises ValueError saying what was found instead."""
    if files := _split_files(path, split):
        return files
    found = (
        ", ".join(sorted(entry.name for entry in path.iterdir())[:10]) if path.is_dir() else "no such folder"
    )
    names = ", ".join(f"{split}{suffix}" for suffix in SUFFIXES)
    raise ValueError(
        f"{task.path}: dataset_path: {path} holds none of {names}, metadata.jsonl (found: {found})"
    )


def _split_files(folder: Path, split: str) -> list[Path]:
    if not re.fullmatch(r"[\w.-]+", split) or split.startswith("."):
        raise ValueError(f"test_split {split!r} is not a name; a part of a split is what --limit is for")
    plain = [folder / f"{split}{suffix}" for suffix in SUFFIXES]
    meta = [base / f"metadata{suffix}" for base in (folder / split, folder) for suffix in SUFFIXES]
    for candidate in plain:
        if candidate.is_file():
            return [candidate]
    for base, pattern in ((folder, f"{split}-*"), (folder / "data", f"{split}-*"), (folder / split, "*")):
        for suffix in (".parquet", ".tar"):
            if shards := sorted(base.glob(pattern + suffix)):
                return shards
    return next(([candidate] for candidate in meta if candidate.is_file()), [])


def _file_rows(paths: list[Path], limit: int | None) -> Rows:
    path = paths[0]
    if path.suffix == ".jsonl":
        return jsonl_rows(path, limit)
    if path.suffix in (".csv", ".tsv"):
        return csv_rows(path, limit)
    if path.suffix == ".tar":
        from evalkit.data.tars import TarRows

        return TarRows(paths)
    if path.suffix == ".parquet":
        from evalkit.data.tables import ParquetRows

        return ParquetRows(paths)
    raise ValueError(f"{path}: is no data file that is known ({', '.join(SUFFIXES)})")

"""Which tasks there are: built-in folders, installed packages, folders of the user's own.

Reading looks at names, tags and summaries only; a task is checked when it is resolved.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from evalkit.tasks.catalog import SUFFIXES, Catalog, Entry, Group
from evalkit.tasks.document import NAME, check_group, is_group
from evalkit.tasks.errors import Mistake
from evalkit.tasks.includes import read_source
from evalkit.tasks.source import Source

ENTRY_POINTS = "evalkit.tasks"


def builtin_folder() -> Path:
    """The tasks that come with evalkit: inside the wheel, or `tasks/` of a checkout.

    Raises FileNotFoundError if the installation has neither.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "builtin_tasks", package.parent / "tasks"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the built-in tasks are missing beside {package}; reinstall evalkit")


def find_tasks(extra_dirs: Iterable[Path | str] = (), *, allow_code: bool = False) -> Catalog:
    """Built-in tasks, those of installed packages (entry points `evalkit.tasks`), those of `extra_dirs`.

    A file that cannot be read is listed in `Catalog.problems`, it does not hide the others.
    Raises NotADirectoryError for an extra folder that does not exist.
    """
    builder = _Builder()
    builder.add_folder(builtin_folder())
    for name, folder in _installed(builder.problems):
        builder.add_folder(folder, name)
    for extra in extra_dirs:
        if not Path(extra).is_dir():
            raise NotADirectoryError(f"--include-path {extra}: there is no such folder")
        builder.add_folder(Path(extra))
    return Catalog(
        builder.tasks, builder.groups, tuple(builder.problems), builder.clashes, allow_code=allow_code
    )


def _installed(problems: list[str]) -> Iterator[tuple[str, Path]]:
    for point in sorted(metadata.entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        try:
            folder = Path(str(resources.files(point.value)))
        except (ImportError, TypeError, ValueError, OSError) as error:
            problems.append(f"entry point {point.name} = {point.value}: {error}")
            continue
        if folder.is_dir():
            yield point.name, folder
        else:
            problems.append(f"entry point {point.name} = {point.value}: {folder} is not a folder")


class _Builder:
    """Collects what the folders hold."""

    def __init__(self) -> None:
        self.tasks: dict[str, Entry] = {}
        self.groups: dict[str, Group] = {}
        self.problems: list[str] = []
        self.clashes: dict[str, Mistake] = {}
        self.cache: dict[Path, Source] = {}
        self.seen: set[Path] = set()

    def add_folder(self, root: Path, origin: str = "") -> None:
        for path in _task_files(root):
            resolved = path.resolve()
            if resolved in self.seen:
                continue
            self.seen.add(resolved)
            # `!function` is only named here; whether it may be loaded is asked when the task is resolved.
            source = read_source(path, root, allow_code=True, cache=self.cache)
            if source.mistakes:
                self.problems.extend(dict.fromkeys(map(str, source.mistakes)))
            elif is_group(source.data):
                self._add_group(source, path)
            else:
                self._add_task(source, path, root)

    def _add_task(self, source: Source, path: Path, root: Path) -> None:
        name = source.data.get("task")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            what = "names neither a task nor a group" if name is None else "task: is no usable name"
            self.problems.append(f"{path}: {what} (a file for `include:` begins with `_`)")
            return
        if self._clash(name, path):
            return
        meta = _mapping(_mapping(source.data.get("metadata")).get("evalkit"))
        shown = ("family", "side", "language", "status", "summary")
        self.tasks[name] = Entry(
            name=name,
            path=path,
            root=root,
            tags=_texts(source.data.get("tag")),
            groups=_texts(source.data.get("group")),
            metrics=_metrics(source.data.get("metric_list")),
            **{key: value for key in shown if isinstance(value := meta.get(key), str)},
        )

    def _add_group(self, source: Source, path: Path) -> None:
        document = check_group(source)
        if document is None:
            self.problems.extend(dict.fromkeys(map(str, source.mistakes)))
        elif not self._clash(document.group, path):
            summary = document.metadata.evalkit.summary
            self.groups[document.group] = Group(document.group, path, tuple(document.task), summary)

    def _clash(self, name: str, path: Path) -> bool:
        """Whether another file has that name; the first keeps it for listings, nobody gets to run it."""
        first = self.tasks.get(name) or self.groups.get(name)
        if first is None:
            return False
        text = f"{name!r} is already defined by {first.path}; rename one of them"
        self.clashes[name] = Mistake(str(path), 0, "", text)
        self.problems.append(str(self.clashes[name]))
        return True


def _task_files(root: Path) -> Iterator[Path]:
    """YAML files below a folder in a fixed order; hidden ones and those beginning with `_` are left out."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        for name in sorted(files):
            if name.endswith(SUFFIXES) and not name.startswith((".", "_")):
                yield Path(folder) / name


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(text for text in values if isinstance(text, str))


def _metrics(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else []
    return tuple(name for entry in values if isinstance(name := _mapping(entry).get("metric"), str))

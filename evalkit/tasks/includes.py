"""A task file with what it includes: the files are laid over each other, the including one last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalkit.tasks.errors import Mistake
from evalkit.tasks.source import MAX_DEPTH, KeyPath, Place, Source, parse_file, shorten


def read_source(
    path: Path, root: Path, *, allow_code: bool = False, cache: dict[Path, Source] | None = None
) -> Source:
    """Read a task file and what it includes. Mistakes are collected in the result, never raised.

    root: the folder tree that `include:` may not leave. cache: files already read, for a whole catalogue.
    """
    return _with_includes(path, root.resolve(), allow_code, {} if cache is None else cache, ())


def _with_includes(
    path: Path, root: Path, allow_code: bool, cache: dict[Path, Source], above: tuple[Path, ...]
) -> Source:
    resolved = path.resolve()
    own = cache.get(resolved)
    if own is None:
        own = cache[resolved] = parse_file(path, allow_code=allow_code)
    merged = Source(path, mistakes=list(own.mistakes), files=(resolved,))
    for place, name in _include_names(own):
        problem = _include_problem(name, path, root, (*above, resolved))
        if problem:
            merged.mistakes.append(Mistake(place.file, place.line, "include", problem))
            continue
        base = _with_includes(path.parent / str(name), root, allow_code, cache, (*above, resolved))
        merged.mistakes.extend(base.mistakes)
        merged.files += base.files
        _lay_over(merged, base)
    _lay_over(merged, own)
    merged.data.pop("include", None)
    return merged


def _include_names(own: Source) -> list[tuple[Place, object]]:
    value = own.data.get("include")
    if value is None:
        return []
    if isinstance(value, list):
        return [(own.place(("include", index)), name) for index, name in enumerate(value)]
    return [(own.place(("include",)), value)]


def _include_problem(name: object, path: Path, root: Path, above: tuple[Path, ...]) -> str:
    """Why a file may not be included, "" if it may."""
    if not isinstance(name, str) or not name:
        return f"must be a file name, not {shorten(name)}"
    if Path(name).is_absolute():
        return f"{name!r} must be relative to {path.parent}"
    try:
        target = (path.parent / name).resolve()
    except (OSError, ValueError) as error:
        return f"{name!r} is not a usable file name ({error})"
    if not target.is_relative_to(root):
        return f"{name!r} leaves the task folder {root}"
    if target in above:
        chain = " -> ".join(file.name for file in (*above[above.index(target) :], target))
        return f"files include each other: {chain}"
    if len(above) >= MAX_DEPTH:
        return f"included more than {MAX_DEPTH} files deep"
    return "" if target.is_file() else f"{name!r} does not exist beside {path}"


def _lay_over(base: Source, own: Source) -> None:
    """Own keys replace those of the base; `metadata` is merged key by key, two levels deep."""
    if not base.data:
        base.data, base.places = dict(own.data), dict(own.places)
        return
    base.places[()] = own.place(())
    _lay_mapping(base, own, base.data, own.data, ())


def _lay_mapping(
    base: Source, own: Source, into: dict[str, Any], data: dict[str, Any], path: KeyPath
) -> None:
    for key, value in data.items():
        here = (*path, key)
        nested = here in (("metadata",), ("metadata", "evalkit"))
        if nested and isinstance(value, dict) and isinstance(into.get(key), dict):
            into[key] = dict(into[key])
            base.places[here] = own.places[here]
            _lay_mapping(base, own, into[key], value, here)
            continue
        into[key] = value
        depth = len(here)
        for old in [place for place in base.places if place[:depth] == here]:
            del base.places[old]
        base.places.update({place: at for place, at in own.places.items() if place[:depth] == here})

"""A task file as plain data that knows its lines: YAML without tags, bombs or surprises.

Nothing here runs code from a file. `!function` becomes a `FunctionName` only if the caller allows it.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from evalkit.tasks.errors import Mistake, TaskErrors

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 20_000

KeyPath = tuple[str | int, ...]
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PREFIX = "tag:yaml.org,2002:"
_SCALARS = frozenset(_PREFIX + kind for kind in ("str", "int", "float", "bool", "null"))


@dataclass(frozen=True, slots=True)
class Place:
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class FunctionName:
    """What `!function module.name` says; the module stands in `folder`."""

    name: str
    folder: Path


@dataclass(slots=True)
class Source:
    """A task file read, with its includes merged in.

    data: the top-level mapping; places: key path -> where it stands; files: everything that was read.
    """

    path: Path
    data: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    files: tuple[Path, ...] = ()

    def add(self, line: int, key: str, text: str) -> None:
        self.mistakes.append(Mistake(str(self.path), line, key, text))

    def place(self, path: KeyPath) -> Place:
        """Where a key stands, or the nearest mapping around it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(str(self.path), 1))


def read_text(path: Path) -> str:
    """The text of a task file (UTF-8, BOM allowed). Raises TaskErrors saying why it cannot be read."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise TaskErrors([Mistake(str(path), 0, "", "is not a file")])
        if status.st_size > MAX_BYTES:
            raise TaskErrors(
                [Mistake(str(path), 0, "", f"is larger than {MAX_BYTES >> 20} MiB: not a task file")]
            )
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, TaskErrors):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise TaskErrors([Mistake(str(path), 0, "", f"cannot be read: {reason}")]) from None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TaskErrors([Mistake(str(path), 1, "", "is UTF-16; save it as UTF-8")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise TaskErrors([Mistake(str(path), line, "", "is not UTF-8; save it as UTF-8")]) from None


def parse_file(path: Path, *, allow_code: bool = False) -> Source:
    """One file without its includes. Mistakes are collected in the result, never raised."""
    try:
        text = read_text(path)
    except TaskErrors as error:
        return Source(path, mistakes=list(error.mistakes))
    return parse_text(text, path, allow_code=allow_code)


def parse_text(text: str, path: Path, *, allow_code: bool = False) -> Source:
    """YAML text to plain data with places; `path` is what messages call it."""
    source = Source(path)
    try:
        _check_depth(text)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        source.add(line, "", f"is not valid YAML: {error.problem or error.context}")
        return source
    except (yaml.YAMLError, ValueError) as error:
        source.add(1, "", f"is not valid YAML: {' '.join(str(error).split())}")
        return source
    if not isinstance(node, yaml.MappingNode):
        source.add(1, "", "must hold keys and values (`task: name` ...)" if node else "is empty")
        return source
    reader = _NodeReader(source, path.parent, allow_code)
    data = reader.value(node, (), frozenset())
    source.data = data if isinstance(data, dict) else {}
    return source


def _check_depth(text: str) -> None:
    """Refuse deep nesting before composing, which recurses."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else 0
                raise ValueError(f"nested more than {MAX_DEPTH} deep (line {line})")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _NodeReader:
    """Nodes to plain data. Aliases are expanded under a budget, so that no small file becomes a large one."""

    def __init__(self, source: Source, folder: Path, allow_code: bool) -> None:
        self.source = source
        self.folder = folder
        self.allow_code = allow_code
        self.budget = MAX_NODES
        self.constructor = _Loader("")

    def value(self, node: yaml.Node, path: KeyPath, above: frozenset[int]) -> Any:
        line = node.start_mark.line + 1
        self.source.places.setdefault(path, Place(str(self.source.path), line))
        self.budget -= 1
        if self.budget < 0:
            if self.budget == -1:
                self.source.add(line, dotted(path), f"expands to more than {MAX_NODES} values (aliases?)")
            return None
        if id(node) in above:
            self.source.add(line, dotted(path), "an anchor contains itself")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, line)
        if node.tag not in (_PREFIX + "map", _PREFIX + "seq"):
            self._refuse_tag(node, path, line)
            return None
        inside = above | {id(node)}
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, i), inside) for i, item in enumerate(node.value)]
        return self._mapping(node, path, inside)

    def _mapping(self, node: yaml.Node, path: KeyPath, above: frozenset[int]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _PREFIX + "merge":
                self.source.add(line, dotted((*path, "<<")), "merge keys are not supported; use `include:`")
                continue
            key = self._scalar(key_node, path, line) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                shown = getattr(key_node, "value", "")
                shown = shown if isinstance(shown, str) else "a list or mapping"
                self.source.add(line, dotted(path), f"a key must be text, not {shown}; quote it")
                continue
            if key in data:
                first = self.source.places[(*path, key)].line
                self.source.add(line, dotted((*path, key)), f"is given twice (first on line {first})")
                continue
            self.source.places[(*path, key)] = Place(str(self.source.path), line)
            data[key] = self.value(value_node, (*path, key), above)
        return data

    def _scalar(self, node: yaml.Node, path: KeyPath, line: int) -> Any:
        if node.tag == "!function":
            return self._function(node, path, line)
        if node.tag == _PREFIX + "timestamp":
            return str(node.value)
        if node.tag not in _SCALARS:
            self._refuse_tag(node, path, line)
            return None
        try:
            return self.constructor.construct_object(node)
        except (ValueError, LookupError, yaml.YAMLError):
            kind = node.tag.removeprefix(_PREFIX)
            self.source.add(line, dotted(path), f"{shorten(node.value)} is no {kind}; quote it if it is text")
            return None

    def _function(self, node: yaml.Node, path: KeyPath, line: int) -> Any:
        if self.allow_code:
            return FunctionName(str(node.value), self.folder)
        self.source.add(
            line,
            dotted(path),
            f"`!function {shorten(node.value)}` would run Python from the task's folder; "
            "pass --allow-code if you trust it",
        )
        return ""

    def _refuse_tag(self, node: yaml.Node, path: KeyPath, line: int) -> None:
        tag = node.tag.replace(_PREFIX, "!!")
        self.source.add(
            line, dotted(path), f"the YAML tag {shorten(tag)} is refused: task files are plain data"
        )


def dotted(path: KeyPath) -> str:
    """A key path as messages write it: `metric_list[0].metric`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shorten(value: object, limit: int = 60) -> str:
    """A value for a message: one line, bounded, control characters escaped."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= limit else text[:limit] + "..."

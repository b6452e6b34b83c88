"""What a name on the command line means: a task, a group, a tag, a pattern or a file."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from evalkit.tasks.errors import Mistake, TaskErrors, UnknownName, did_you_mean
from evalkit.tasks.loading import load_task
from evalkit.tasks.schema import Task

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a listing shows of a task. root: the folder it was found in; `include:` may not leave it."""

    name: str
    path: Path
    root: Path
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    family: str = ""
    side: str = ""
    language: str = ""
    status: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A suite as its file states it; members are names of tasks, tags or groups."""

    name: str
    path: Path
    members: tuple[str, ...]
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every task and group found. problems: files that look like tasks but cannot be used, one line each.

    clashes: names that more than one file claims, with what to say to whoever asks for them.
    """

    tasks: Mapping[str, Entry] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    clashes: Mapping[str, Mistake] = field(default_factory=dict)
    allow_code: bool = False

    @property
    def tags(self) -> dict[str, tuple[str, ...]]:
        """Tag -> the names of its tasks, both sorted."""
        tags: dict[str, list[str]] = {}
        for entry in self.tasks.values():
            for tag in entry.tags:
                tags.setdefault(tag, []).append(entry.name)
        return {tag: tuple(sorted(tags[tag])) for tag in sorted(tags)}

    def members(self, name: str) -> tuple[str, ...]:
        """Task names of a task, group or tag, in the order in which the group names them.

        Where names coincide a task comes before a group and a group before a tag.
        Raises UnknownName, or TaskErrors for a group that names what does not exist.
        """
        return tuple(dict.fromkeys(self._expand(name, ())))

    def names(self, spec: str | Iterable[str]) -> tuple[str, ...]:
        """Task names (or task files) of a comma-separated list; fnmatch patterns are allowed."""
        parts = spec.split(",") if isinstance(spec, str) else list(spec)
        wanted = [part.strip() for part in parts if part.strip()]
        if not wanted:
            raise UnknownName("no task was named; `evalkit tasks` lists them")
        found: dict[str, None] = {}
        for name in wanted:
            if name.endswith(SUFFIXES):
                found[name] = None
            elif any(sign in name for sign in "*?["):
                found.update(dict.fromkeys(self._matching(name)))
            else:
                found.update(dict.fromkeys(self.members(name)))
        return tuple(found)

    def resolve(self, spec: str | Iterable[str]) -> list[Task]:
        """The tasks of `names(spec)`, checked. Raises UnknownName, or TaskErrors with all mistakes."""
        tasks: list[Task] = []
        mistakes: list[Mistake] = []
        for name in self.names(spec):
            try:
                tasks.append(self.load(name))
            except TaskErrors as error:
                mistakes.extend(error.mistakes)
        for task in tasks:
            same = next(
                (other for other in tasks if other.name == task.name and other.path != task.path), None
            )
            if same:
                text = f"is called {task.name!r} like {same.path}; rename one of them or name one file only"
                mistakes.append(Mistake(str(task.path), 0, "task", text))
        if mistakes:
            raise TaskErrors(mistakes)
        return list({task.name: task for task in tasks}.values())

    def load(self, name: str) -> Task:
        """One task by its name or file. Raises UnknownName or TaskErrors."""
        if name.endswith(SUFFIXES):
            return load_task(Path(name), self.allow_code, root=self._root_of(Path(name)))
        if name not in self.tasks:
            raise UnknownName(self._unknown(name))
        entry = self.tasks[name]
        task = load_task(entry.path, self.allow_code, root=entry.root)
        inside = [group for group in self.groups if name in self._known_members(group)]
        return replace(task, groups=tuple(dict.fromkeys((*task.groups, *sorted(inside)))))

    def _expand(self, name: str, above: tuple[str, ...]) -> Iterator[str]:
        if name in self.clashes:
            raise TaskErrors([self.clashes[name]])
        if name in self.tasks:
            yield name
        elif name in self.groups:
            yield from self._expand_group(self.groups[name], (*above, name))
        else:
            tagged = [e.name for e in self.tasks.values() if name in e.tags or name in e.groups]
            if not tagged:
                raise UnknownName(self._unknown(name))
            yield from sorted(tagged)

    def _expand_group(self, group: Group, above: tuple[str, ...]) -> Iterator[str]:
        for member in group.members:
            if member in above and member not in self.tasks:
                if self.tags.get(member):
                    yield from self.tags[member]
                    continue
                text = f"groups contain each other: {' -> '.join((*above, member))}"
                raise TaskErrors([Mistake(str(group.path), 0, "task", text)])
            try:
                yield from self._expand(member, above)
            except UnknownName as error:
                raise TaskErrors([Mistake(str(group.path), 0, "task", str(error))]) from None
        yield from sorted(entry.name for entry in self.tasks.values() if group.name in entry.groups)

    def _known_members(self, group: str) -> tuple[str, ...]:
        """Members of a group, none if the group itself is wrong: that is told to who asks for it."""
        try:
            return tuple(self._expand_group(self.groups[group], (group,)))
        except TaskErrors:
            return ()

    def _matching(self, pattern: str) -> tuple[str, ...]:
        names = [*self.tasks, *self.groups, *self.tags]
        matched = [name for name in dict.fromkeys(names) if fnmatch.fnmatchcase(name, pattern)]
        if not matched:
            raise UnknownName(f"no task, group or tag matches {pattern!r}; `evalkit tasks` lists them")
        return tuple(dict.fromkeys(task for name in matched for task in self.members(name)))

    def _root_of(self, path: Path) -> Path | None:
        """The known folder that a file lies in, so that a built-in file may include its neighbours."""
        resolved = path.resolve()
        roots = {entry.root for entry in self.tasks.values()}
        return next((root for root in sorted(roots) if resolved.is_relative_to(root.resolve())), None)

    def _unknown(self, name: str) -> str:
        known = {*self.tasks, *self.groups, *self.tags}
        unread = f" ({len(self.problems)} task files could not be read)" if self.problems else ""
        hint = did_you_mean(name, known) or "; `evalkit tasks` lists them"
        return f"unknown task, group or tag {name!r}{hint}{unread}"

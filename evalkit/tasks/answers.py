"""What a sample accepts as its answer, and what it can be chosen from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.tasks.errors import PromptError
from evalkit.tasks.schema import Task
from evalkit.tasks.templates import evaluate, render


def choices_of(task: Task, fields: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """The choices of one sample: a fixed list, each entry a template, or a column or expression with a list.

    Raises PromptError if what should be a list is none, or has fewer than two entries.
    """
    if isinstance(task.doc_to_choice, tuple):
        return tuple(_entry(entry, index, fields, where) for index, entry in enumerate(task.doc_to_choice))
    if task.doc_to_choice == "":
        return ()
    value = evaluate(task.doc_to_choice, "doc_to_choice", fields, where)
    if isinstance(value, Mapping) and "text" in value:
        value = value["text"]
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) < 2:
        raise PromptError(
            f"{where}: doc_to_choice: must be a list of at least two choices, not {value!r:.60}"
        )
    return tuple(str(choice) for choice in value)


def _entry(entry: str, index: int, fields: Mapping[str, Any], where: str) -> str:
    """A choice is text as it stands unless it is Jinja: a label may coincide with a column's name."""
    return render(entry, f"doc_to_choice[{index}]", fields, where) if "{" in entry else entry


def references_of(
    task: Task, fields: Mapping[str, Any], choices: Sequence[str], where: str
) -> tuple[str, ...]:
    """The accepted answers, at least one. An integer (or digits that are no choice) counts into the choices.

    Raises PromptError for a missing target or an index outside the choices.
    """
    value = evaluate(task.doc_to_target, "doc_to_target", fields, where)
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values:
        raise PromptError(f"{where}: doc_to_target: there is no reference (an empty list)")
    return tuple(_reference(item, choices, where) for item in values)


def _reference(value: Any, choices: Sequence[str], where: str) -> str:
    if value is None:
        raise PromptError(f"{where}: doc_to_target: there is no reference (null)")
    if isinstance(value, Mapping | list | tuple | bytes):
        raise PromptError(f"{where}: doc_to_target: {value!r:.60} is no text")
    if not choices or str(value) in choices:
        return str(value)
    text = str(value).strip()
    if isinstance(value, bool) or not text.isascii() or not text.isdecimal():
        return str(value)
    if int(text) >= len(choices):
        raise PromptError(f"{where}: doc_to_target: {text} counts past the {len(choices)} choices")
    return choices[int(text)]

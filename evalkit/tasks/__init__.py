"""Tasks: YAML files read, checked, named and turned into prompts.

The names below are loaded when they are first used, so that plain types cost no YAML, pydantic or Jinja.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalkit.tasks.catalog import Catalog, Entry, Group
    from evalkit.tasks.discovery import builtin_folder, find_tasks
    from evalkit.tasks.errors import Mistake, PromptError, TaskErrors, UnknownName
    from evalkit.tasks.facts import prompt_facts, settings_facts
    from evalkit.tasks.hints import hints_of
    from evalkit.tasks.loading import load_task
    from evalkit.tasks.prompts import build_messages, build_request
    from evalkit.tasks.starter import new_task_yaml

_HOMES = {
    "catalog": ("Catalog", "Entry", "Group"),
    "discovery": ("builtin_folder", "find_tasks"),
    "errors": ("Mistake", "PromptError", "TaskErrors", "UnknownName"),
    "facts": ("prompt_facts", "settings_facts"),
    "hints": ("hints_of",),
    "loading": ("load_task",),
    "prompts": ("build_messages", "build_request"),
    "starter": ("new_task_yaml",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Catalog",
    "Entry",
    "Group",
    "Mistake",
    "PromptError",
    "TaskErrors",
    "UnknownName",
    "build_messages",
    "build_request",
    "builtin_folder",
    "find_tasks",
    "hints_of",
    "load_task",
    "new_task_yaml",
    "prompt_facts",
    "settings_facts",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

"""`run.json`: what a run was started with, so that scoring, rescoring and checks need no YAML."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePath
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from evalkit.model import AudioSetting
from evalkit.results.record import SCHEMA_VERSION, Fingerprints, Provenance
from evalkit.tasks.schema import Task, TaskFunction


class RunRecord(BaseModel):
    """One model on one task, before scoring. Written when the run starts, updated when it ends.

    task: the task as `task_snapshot` makes it; n: samples asked; repeats: answers to each;
    requests: hash over all request hashes, which a resumed run must find unchanged;
    fingerprints.scoring is "" here; provenance.wall_seconds: time spent so far, over all resumptions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    model: str
    task: Mapping[str, Any]
    audio: AudioSetting = "real"
    limit: int | None = None
    n: int
    partial: bool = False
    repeats: int = 1
    requests: str
    fingerprints: Fingerprints
    provenance: Provenance


def task_snapshot(task: Task) -> dict[str, Any]:
    """The task as JSON. Paths keep their last part and functions their name; loader options are left out."""
    snapshot: dict[str, Any] = _json_value(
        dataclasses.replace(task, path=Path(task.path.name), dataset_kwargs={})
    )
    if PurePath(task.dataset_path).is_absolute():
        snapshot["dataset_path"] = PurePath(task.dataset_path).name
    return snapshot


def task_from_snapshot(snapshot: Mapping[str, Any]) -> Task:
    """The task for scoring; it can no longer load data. ValueError names the field that is wrong."""
    try:
        return _task_adapter().validate_python(snapshot)
    except ValidationError as error:
        raise ValueError(f"task snapshot: {first_mistake(error)}") from error


def first_mistake(error: ValidationError) -> str:
    """`field: what is wrong`, for the first mistake of many."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{field}: {first['msg']}" if field else str(first["msg"])


@cache
def _task_adapter() -> TypeAdapter[Task]:
    return TypeAdapter(Task)


def _json_value(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, TaskFunction):
        return f"!function {value.name}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _json_value(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_json_value(item) for item in value]
    return str(value)

"""What the built-in tasks promise: names, tags, prompts and licences."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from evalkit.tasks import builtin_folder, find_tasks
from evalkit.tasks.schema import Task

TASKS = find_tasks().resolve("mini")


def rows(task: Task) -> list[dict[str, str]]:
    text = (task.path.parent / task.dataset_path / f"{task.test_split}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_mini_task_says_what_it_is(task: Task) -> None:
    assert task.meta.family
    assert task.meta.side in ("semantic", "paralinguistic")
    assert task.meta.side in task.tags
    assert {"mini", task.meta.family} <= set(task.tags)
    assert "mini" in task.groups
    assert task.meta.cluster and task.meta.license and task.meta.summary
    assert len(str(task.doc_to_text)) < 200, "small models are asked in few words"


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_clip_has_a_licence_that_the_task_names(task: Task) -> None:
    licenses = Counter(row["license"] for row in rows(task))
    assert all(license in re.split(r",? or |, ", task.meta.license) for license in licenses), licenses


@pytest.mark.parametrize("task", [task for task in TASKS if task.doc_to_choice], ids=lambda task: task.name)
def test_choices_are_the_labels_of_the_data_and_hold_the_majority(task: Task) -> None:
    assert isinstance(task.doc_to_choice, tuple)
    assert sorted(task.doc_to_choice) == sorted({row["label"] for row in rows(task)})
    assert task.meta.majority in task.doc_to_choice


@pytest.mark.security
def test_no_builtin_task_needs_code_or_leaves_its_folder() -> None:
    for path in builtin_folder().rglob("*.yaml"):
        assert "!" not in re.sub(r"#.*|\".*?\"|'.*?'", "", path.read_text()), path
    for task in find_tasks().resolve([*find_tasks().tasks]):
        data = (task.path.parent / task.dataset_path).resolve()
        assert not data.exists() or data.is_relative_to(builtin_folder())

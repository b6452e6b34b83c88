"""What the built-in tasks promise: names, tags, prompts and licences."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from evalkit.data import open_samples
from evalkit.tasks import builtin_folder, find_tasks, hints_of
from evalkit.tasks.schema import Task

MINI = find_tasks().resolve("mini")
TASKS = find_tasks().resolve(["mini", "asr_multilingual"])
FAMILIES = ["asr", "captioning", "emotion", "music_qa", "speaker"]


def rows(task: Task) -> list[dict[str, str]]:
    text = (task.path.parent / task.dataset_path / f"{task.test_split}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_mini_task_says_what_it_is(task: Task) -> None:
    assert task.meta.family
    assert task.meta.side in ("semantic", "paralinguistic")
    assert task.meta.family in task.tags
    assert task.meta.cluster and task.meta.license and task.meta.summary
    assert len(str(task.doc_to_text)) < 200, "small models are asked in few words"


def test_the_group_is_five_families_and_the_languages_that_the_small_llm_does_not_know_stand_apart() -> None:
    assert sorted({task.meta.family for task in MINI}) == FAMILIES
    for task in MINI:
        assert {"mini", task.meta.side} <= set(task.tags) and "mini" in task.groups
    apart = find_tasks().resolve("asr_multilingual")
    assert sorted(task.meta.language for task in apart) == ["es", "fr", "it", "ru"]
    assert not {task.name for task in apart} & {task.name for task in MINI}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_clip_has_a_licence_that_the_task_names(task: Task) -> None:
    licenses = Counter(row["license"] for row in rows(task))
    assert all(license in re.split(r",? or |, ", task.meta.license) for license in licenses), licenses


@pytest.mark.parametrize("task", [task for task in TASKS if task.doc_to_choice], ids=lambda task: task.name)
def test_every_sample_offers_its_answer_and_the_majority_of_the_training_clips(task: Task) -> None:
    samples = list(open_samples(task))
    for sample in samples:
        (answer,) = sample.references
        assert answer in sample.choices
        assert hints_of(task, sample, "real", ["majority"]).majority in sample.choices
    if isinstance(task.doc_to_choice, tuple):
        assert sorted(task.doc_to_choice) == sorted({row["label"] for row in rows(task)})


@pytest.mark.security
def test_no_builtin_task_needs_code_or_leaves_its_folder() -> None:
    for path in builtin_folder().rglob("*.yaml"):
        assert "!" not in re.sub(r"#.*|\".*?\"|'.*?'", "", path.read_text()), path
    for task in find_tasks().resolve([*find_tasks().tasks]):
        data = (task.path.parent / task.dataset_path).resolve()
        assert not data.exists() or data.is_relative_to(builtin_folder())

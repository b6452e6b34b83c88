"""`validate` finds what would fail in a run; `describe` counts what is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.data import describe, validate
from evalkit.tasks import find_tasks
from evalkit.tasks.schema import Task, TaskMeta

Rows = Callable[..., Path]


@pytest.fixture
def mood(task: Task, tmp_path: Path, encoded: Callable[..., bytes]) -> Task:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.wav").write_bytes(encoded(seconds=0.6))
    return replace(task, doc_to_choice=("joy", "fear"), doc_to_text="One of: {{ choices | join(', ') }}.")


EMBEDDED = [task.name for task in find_tasks().resolve(["mini", "asr_multilingual"])]


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_task_with_data_of_its_own_validates(name: str) -> None:
    assert validate(find_tasks().load(name)) == []


def test_a_sound_task_has_no_problems(mood: Task, rows: Rows) -> None:
    rows([{"audio": "a.wav", "text": "joy"}, {"audio": "a.wav", "text": "fear"}])
    assert validate(mood) == []


def test_every_kind_of_problem_is_told_with_its_line(mood: Task, rows: Rows, raw: Rows) -> None:
    raw(b"no audio", "data/bad.wav")
    path = rows(
        [
            {"audio": "a.wav", "text": "anger"},
            {"audio": "gone.wav", "text": "joy"},
            {"audio": "a.wav", "text": None},
            {"audio": "a.wav", "text": " "},
            {"audio": "bad.wav", "text": "joy"},
        ]
    )
    problems = validate(replace(mood, doc_to_choice=("joy", "fear", " ")))
    assert problems == [
        f"{path}:1: the target 'anger' is none of the choices",
        f"{path}:2: audio 'gone.wav': there is no such file ({path.parent / 'gone.wav'})",
        f"{path}:3: doc_to_target: there is no reference (null)",
        f"{path}:4: the reference is empty",
        f"{path}:5: audio 'bad.wav': its header cannot be read",
    ]


def test_a_prompt_that_fails_is_a_problem(mood: Task, rows: Rows) -> None:
    rows([{"audio": "a.wav", "text": "joy"}])
    [problem] = validate(replace(mood, doc_to_text="Say {{ word }}"))
    assert (
        problem
        == "task small, sample 000000: doc_to_text: 'word' is undefined; the columns are "
        + ", ".join(["audio", "choices", "letters", "text"])
    )


def test_data_that_cannot_be_opened_is_one_problem(mood: Task) -> None:
    [problem] = validate(mood)
    assert "holds none of test.jsonl" in problem


def test_many_problems_are_counted(mood: Task, rows: Rows) -> None:
    rows({"audio": "a.wav", "text": "anger"} for _ in range(50))
    problems = validate(mood, most=5)
    assert len(problems) == 6
    assert problems[-1] == "and 45 more"


def test_further_checks_come_first(mood: Task, rows: Rows) -> None:
    rows([{"audio": "a.wav", "text": "anger"}])
    problems = validate(mood, lambda task: [f"{task.name}: unknown metric"])
    assert problems[0] == "small: unknown metric"
    assert len(problems) == 2


def test_a_description_counts_clips_classes_licences_and_clusters(mood: Task, rows: Rows) -> None:
    labels = ["joy", "joy", "joy", "fear"]
    rows(
        {"audio": "a.wav", "text": label, "license": "CC0-1.0" if index else None, "voice": index % 2}
        for index, label in enumerate(labels)
    )
    shown = describe(replace(mood, meta=TaskMeta(family="emotion", cluster="voice", license="MIT")))
    assert (shown["n"], shown["minutes"], shown["clusters"]) == (4, 0.04, 2)
    assert shown["classes"] == {"joy": 3, "fear": 1}
    assert (shown["chance"], shown["majority_share"]) == (0.5, 0.75)
    assert shown["licenses"] == {"CC0-1.0": 3, "MIT": 1}
    assert shown["prompt"] == "user: <audio>One of: joy, fear."
    assert json.loads(json.dumps(shown)) == shown


def test_free_text_has_no_classes_and_no_chance(task: Task, rows: Rows) -> None:
    rows([{"audio": "a.wav", "text": "hello there"}])
    shown = describe(task)
    assert (shown["classes"], shown["chance"], shown["majority_share"]) == ({}, None, None)
    assert shown["licenses"] == {"not stated": 1}

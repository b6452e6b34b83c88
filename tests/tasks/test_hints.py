"""What a task tells a model beyond the question, and what it keeps to itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from evalkit.model import AudioSetting, HintName, Hints
from evalkit.tasks import hints_of
from evalkit.tasks.schema import AudioRef, Sample, Task, TaskMeta

META = TaskMeta(majority="anger", transcript="phrase", language="fr")
TASK = Task("moods", Path("moods.yaml"), "data", "Which mood?", "mood", meta=META)
SAMPLE = Sample("s1", {"phrase": "Watch it", "mood": "joy"}, (AudioRef("a"),), ("joy",), ("anger", "joy"))
ALL = get_args(HintName)


def transcripts(value: Any, references: tuple[str, ...] = ("joy",)) -> tuple[str, ...]:
    sample = replace(SAMPLE, fields={"phrase": value}, references=references)
    return hints_of(TASK, sample, "real", ["transcripts"]).transcripts


def test_every_hint_that_is_named_is_given() -> None:
    assert hints_of(TASK, SAMPLE, "real", ALL) == Hints(("anger", "joy"), "anger", ("Watch it",), "fr")


@pytest.mark.parametrize("name", ALL)
def test_a_hint_that_is_not_named_stays_empty(name: HintName) -> None:
    others = [other for other in ALL if other != name]
    assert hints_of(TASK, SAMPLE, "real", others) == replace(
        hints_of(TASK, SAMPLE, "real", ALL), **{name: getattr(Hints(), name)}
    )


def test_a_task_that_knows_nothing_hints_at_nothing() -> None:
    task = replace(TASK, meta=TaskMeta())
    assert hints_of(task, replace(SAMPLE, choices=()), "real", ALL) == Hints()


def test_a_task_of_several_questions_has_a_majority_for_each() -> None:
    rule = "{{ {'mood': 'anger', 'age': 'old'}[topic] }}"
    task = replace(TASK, meta=TaskMeta(majority=rule))
    for topic, answer in (("mood", "anger"), ("age", "old")):
        asked = replace(SAMPLE, fields={**SAMPLE.fields, "topic": topic})
        assert hints_of(task, asked, "real", ["majority"]).majority == answer
    first = replace(TASK, meta=TaskMeta(majority="{{ choices[1] }}"))
    assert hints_of(first, SAMPLE, "real", ["majority"]).majority == "joy"


def test_there_is_a_transcript_for_each_audio() -> None:
    assert transcripts(["Drat", "Boring"]) == ("Drat", "Boring")


@pytest.mark.parametrize("nothing", [None, "", []])
def test_a_sample_may_have_no_transcript(nothing: Any) -> None:
    assert transcripts(nothing) == ()


def test_a_transcript_that_is_the_answer_is_kept_back() -> None:
    assert transcripts("Watch it", references=("Watch it", "Watch it!")) == ()
    assert transcripts(["Drat", "Boring"], references=("Boring",)) == ()


@pytest.mark.parametrize("audio", ["none", "silence", "shuffled"])
def test_a_transcript_is_of_what_is_heard(audio: AudioSetting) -> None:
    given = hints_of(TASK, SAMPLE, audio, ALL)
    assert given == replace(hints_of(TASK, SAMPLE, "real", ALL), transcripts=())

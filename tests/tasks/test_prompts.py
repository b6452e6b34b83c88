"""Templates over a sample's fields, and the request that a model gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.model import Audio, AudioSlot, GenerationSettings, Message
from evalkit.tasks import PromptError, build_messages, build_request, prompt_facts, settings_facts
from evalkit.tasks.answers import choices_of, references_of
from evalkit.tasks.prompts import letters
from evalkit.tasks.schema import AudioRef, Sample, Task, TaskFunction
from evalkit.tasks.templates import evaluate, render

TASK = Task("greeting", Path("greeting.yaml"), "data", "Transcribe the speech.", "text")
FIELDS: dict[str, Any] = {
    "text": "hello",
    "label": 1,
    "names": ["joy", "fear"],
    "none": None,
    "Q": "what <audio>?",
}
TONE = Audio(np.sin(np.arange(800, dtype=np.float32)), 16_000, "tone")
BEEP = Audio(np.ones(400, dtype=np.float32), 16_000, "beep")


def sample(**changes: Any) -> Sample:
    base = Sample("s1", FIELDS, (AudioRef("a.wav"),), ("hello",))
    return replace(base, **changes)


def content(task: Task, audios: int = 1, **changes: Any) -> tuple[str | AudioSlot, ...]:
    return build_messages(task, sample(**changes), audios)[-1].content


def test_audio_comes_first_and_then_the_text() -> None:
    assert content(TASK) == (AudioSlot(0), "Transcribe the speech.")
    assert content(TASK, audios=2) == (AudioSlot(0), AudioSlot(1), "Transcribe the speech.")


def test_a_template_may_place_its_audio() -> None:
    task = replace(TASK, doc_to_text="First: <audio> Second: <audio> Same voice?")
    assert content(task, audios=2) == ("First: ", AudioSlot(0), " Second: ", AudioSlot(1), " Same voice?")
    assert content(replace(TASK, doc_to_text="<audio>"), audios=1) == (AudioSlot(0),)


def test_placing_another_number_of_audios_is_an_error() -> None:
    with pytest.raises(PromptError, match="places 2 audios by `<audio>`, the sample has 1"):
        content(replace(TASK, doc_to_text="<audio> and <audio>"))


def test_a_marker_in_the_data_stays_text() -> None:
    assert content(replace(TASK, doc_to_text="Q")) == (AudioSlot(0), "what <audio>?")
    assert content(replace(TASK, doc_to_text="<audio> {{ Q }}")) == (AudioSlot(0), " what <audio>?")


def test_a_description_is_the_system_message() -> None:
    messages = build_messages(replace(TASK, description="Speak {{ text }}."), sample(), 1)
    assert messages[0] == Message("system", ("Speak hello.",))
    assert messages[1].role == "user"


def test_a_column_name_means_that_column() -> None:
    assert content(replace(TASK, doc_to_text="text")) == (AudioSlot(0), "hello")


def test_a_lone_word_that_is_no_column_is_no_prompt() -> None:
    with pytest.raises(
        PromptError, match=r"doc_to_text: there is no column 'question'; the columns are Q, label"
    ):
        content(replace(TASK, doc_to_text="question"))


def test_an_undefined_name_names_task_template_sample_and_columns() -> None:
    with pytest.raises(PromptError) as caught:
        content(replace(TASK, doc_to_text="Say {{ txet }}"))
    assert str(caught.value) == (
        "task greeting, sample s1: doc_to_text: 'txet' is undefined; "
        "the columns are Q, label, names, none, text"
    )


@pytest.mark.parametrize(
    "template", ["none", "{{ none }}", "Say {{ none }}", "names", "{{ names }}", "{{ {'a': 1} }}"]
)
def test_what_is_no_text_is_no_prompt(template: str) -> None:
    if template == "Say {{ names }}":
        return
    with pytest.raises(PromptError):
        content(replace(TASK, doc_to_text=template))


@pytest.mark.parametrize(
    "template", ["{{ 1 / 0 }}", "{{ text + 1 }}", "{{ text.missing.more }}", "{{ names[7] }}x"]
)
def test_a_failing_expression_is_a_prompt_error(template: str) -> None:
    with pytest.raises(PromptError, match="doc_to_text"):
        content(replace(TASK, doc_to_text=template))


def test_choices_and_letters_are_there_for_templates() -> None:
    template = "{% for c in choices %}{{ letters[loop.index0] }}. {{ c }}\n{% endfor %}"
    task = replace(TASK, doc_to_text=template)
    assert content(task, choices=("joy", "fear")) == (AudioSlot(0), "A. joy\nB. fear\n")
    joined = replace(TASK, doc_to_text="One of: {{ choices | join(', ') }}.")
    assert content(joined, choices=("joy", "fear")) == (AudioSlot(0), "One of: joy, fear.")


def test_letters_go_on_after_z() -> None:
    assert letters(3) == ["A", "B", "C"]
    assert letters(28)[-2:] == ["AA", "AB"]


def test_a_column_may_be_called_self_or_range() -> None:
    fields = {"self": "me", "range": "far", "text": "x"}
    assert evaluate("self", "doc_to_text", fields, "s") == "me"
    assert evaluate("{{ text }}", "doc_to_text", fields, "s") == "x"
    assert evaluate("so {{ range }}", "doc_to_text", fields, "s") == "so far"


def test_an_expression_keeps_its_type_and_mixed_text_does_not() -> None:
    assert evaluate("{{ names }}", "k", FIELDS, "s") == ["joy", "fear"]
    assert evaluate("{{ label + 1 }}", "k", FIELDS, "s") == 2
    assert evaluate("{{ label }}{{ label }}", "k", FIELDS, "s") == "11"
    assert render("{{ label }}", "k", FIELDS, "s") == "1"


def test_a_function_gets_the_fields_and_its_failure_is_told() -> None:
    good = TaskFunction("m.f", lambda doc: doc["text"].upper(), "0" * 64)
    assert content(replace(TASK, doc_to_text=good)) == (AudioSlot(0), "HELLO")
    bad = TaskFunction("m.g", lambda doc: doc["nothing"], "0" * 64)
    with pytest.raises(PromptError, match=r"!function m\.g fails with KeyError\('nothing'\)"):
        content(replace(TASK, doc_to_text=bad))


def test_a_request_carries_audio_settings_and_choices() -> None:
    task = replace(TASK, generation=GenerationSettings(max_new_tokens=7))
    request = build_request(task, sample(choices=("a", "b")), [TONE])
    assert request.audios == (TONE,)
    assert request.settings.max_new_tokens == 7
    assert request.choices == (), "choices are scored only for multiple_choice"
    scored = build_request(replace(task, output_type="multiple_choice"), sample(choices=("a", "b")), [TONE])
    assert scored.choices == ("a", "b")


def test_without_audio_the_slots_are_gone() -> None:
    request = build_request(TASK, sample(), [TONE], "none")
    assert request.audios == ()
    assert request.messages == (Message("user", ("Transcribe the speech.",)),)
    placed = replace(TASK, doc_to_text="Listen: <audio> What is it?")
    assert build_request(placed, sample(), [TONE], "none").messages[0].content == ("Listen:  What is it?",)


def test_silence_keeps_length_rate_and_slots_and_has_its_own_hash() -> None:
    request = build_request(TASK, sample(), [TONE], "silence")
    [silent] = request.audios
    assert (len(silent.samples), silent.rate) == (len(TONE.samples), TONE.rate)
    assert not silent.samples.any()
    assert silent.sha256 not in (
        TONE.sha256,
        build_request(TASK, sample(), [BEEP], "silence").audios[0].sha256,
    )
    assert request.messages == build_request(TASK, sample(), [TONE]).messages
    assert TONE.samples.any(), "the given audio is left as it was"


def test_shuffled_uses_the_audio_it_is_given() -> None:
    assert build_request(TASK, sample(), [BEEP], "shuffled").audios == (BEEP,)


@pytest.mark.parametrize(
    ("target", "choices", "expected"),
    [
        ("text", (), ("hello",)),
        ("{{ text }} there", (), ("hello there",)),
        ("names", (), ("joy", "fear")),
        ("{{ names }}", (), ("joy", "fear")),
        ("label", (), ("1",)),
        ("label", ("joy", "fear"), ("fear",)),
        ("{{ label }}", ("joy", "fear"), ("fear",)),
        ("x{{ '' }}", ("joy", "fear"), ("x",)),
        ("label", ("0", "1", "2"), ("1",)),
    ],
)
def test_references_come_from_columns_expressions_and_choice_numbers(
    target: str, choices: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert references_of(replace(TASK, doc_to_target=target), FIELDS, choices, "s") == expected


@pytest.mark.parametrize(
    ("target", "fields", "message"),
    [
        ("none", FIELDS, "there is no reference (null)"),
        ("{{ [] }}", FIELDS, "there is no reference (an empty list)"),
        ("label", {"label": 5}, "5 counts past the 2 choices"),
        ("label", {"label": {"a": 1}}, "is no text"),
        ("transcript", FIELDS, "there is no column 'transcript'"),
        ("{{ [none] }}", FIELDS, "there is no reference (null)"),
    ],
)
def test_a_missing_reference_is_an_error(target: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(PromptError) as caught:
        references_of(replace(TASK, doc_to_target=target), fields, ("joy", "fear"), "data.jsonl:3")
    assert str(caught.value).startswith("data.jsonl:3: doc_to_target: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ((), ()),
        ("", ()),
        (("joy", "text"), ("joy", "text")),
        (("{{ text }}", "other"), ("hello", "other")),
        ("names", ("joy", "fear")),
        ("{{ names }}", ("joy", "fear")),
        ("{{ [text, label] }}", ("hello", "1")),
    ],
)
def test_choices_are_a_list_a_column_or_an_expression(choice: Any, expected: tuple[str, ...]) -> None:
    assert choices_of(replace(TASK, doc_to_choice=choice), FIELDS, "s") == expected


@pytest.mark.parametrize("choice", ["text", "{{ label }}", "{{ [text] }}", "options"])
def test_what_is_no_list_of_choices_is_an_error(choice: str) -> None:
    with pytest.raises(PromptError, match="doc_to_choice"):
        choices_of(replace(TASK, doc_to_choice=choice), FIELDS, "s")


def test_prompt_facts_follow_the_prompt_and_nothing_else() -> None:
    facts = prompt_facts(TASK)
    same = replace(
        TASK, path=Path("moved.yaml"), dataset_path="elsewhere", doc_to_audio=("wav",), doc_to_target="answer"
    )
    assert prompt_facts(same) == facts
    for changed in (
        replace(TASK, doc_to_text="Write it down."),
        replace(TASK, description="Be brief."),
        replace(TASK, doc_to_choice=("a", "b")),
        replace(TASK, doc_to_audio=("a", "b")),
        replace(TASK, doc_to_text=TaskFunction("m.f", str, "1" * 64)),
    ):
        assert prompt_facts(changed) != facts
    one, two = (replace(TASK, doc_to_text=TaskFunction("m.f", str, digit * 64)) for digit in "12")
    assert prompt_facts(one) != prompt_facts(two), "the source of a function is part of the prompt"


def test_settings_facts_follow_what_changes_an_answer() -> None:
    facts = settings_facts(TASK)
    assert settings_facts(replace(TASK, repeats=2)) != facts
    assert settings_facts(replace(TASK, generation=GenerationSettings(max_new_tokens=7))) != facts
    scored = replace(TASK, output_type="multiple_choice")
    assert settings_facts(scored) == {"output_type": "multiple_choice"}

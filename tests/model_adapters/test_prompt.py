"""Messages to segments: audio in its place, text in the tokens of the real tokenizer."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.model import AudioSlot, Message
from model_adapters.audio_llm.prompt import CHATML, Segment, render


@pytest.fixture(scope="module")
def tokenizer(smollm: tuple[Any, Any]) -> Any:
    return smollm[1]


def user(*content: str | AudioSlot) -> Message:
    return Message("user", content)


def spelled(tokenizer: Any, segments: tuple[Segment, ...]) -> str:
    """The prompt as text, with each audio as [its index]."""
    return "".join(tokenizer.decode(s.tokens) if s.audio is None else f"[{s.audio}]" for s in segments)


def test_audio_stands_before_the_question_in_a_chatml_turn(tokenizer: Any) -> None:
    segments = render(tokenizer, [user(AudioSlot(0), "Transcribe the speech.")], CHATML)
    assert [s.audio for s in segments] == [None, 0, None]
    assert spelled(tokenizer, segments) == (
        "<|im_start|>user\n[0]\nTranscribe the speech.<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_system_message_comes_first(tokenizer: Any) -> None:
    messages = [Message("system", ("Answer briefly.",)), user("Hi")]
    assert spelled(tokenizer, render(tokenizer, messages, CHATML)) == (
        "<|im_start|>system\nAnswer briefly.<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_control_words_become_their_own_tokens(tokenizer: Any) -> None:
    (segment,) = render(tokenizer, [user("Hi")], CHATML)
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    assert segment.tokens[0] == start
    assert segment.tokens.count(start) == 2
    assert segment.tokens.count(end) == 1


def test_text_alone_is_tokenised_as_the_tokenizers_own_template_does_it(tokenizer: Any) -> None:
    chat = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "What do you hear?"}]
    expected = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
    messages = [Message("system", ("Be kind.",)), user("What do you hear?")]
    assert [s.tokens for s in render(tokenizer, messages, None)] == [tuple(expected)]
    assert [s.tokens for s in render(tokenizer, messages, CHATML)] == [tuple(expected)]


def test_the_projects_template_adds_no_system_message_of_its_own(tokenizer: Any) -> None:
    question = [user("Hi")]
    assert "system" not in spelled(tokenizer, render(tokenizer, question, CHATML))
    assert "system" in spelled(tokenizer, render(tokenizer, question, None))


def test_several_audios_keep_their_order_and_their_indices(tokenizer: Any) -> None:
    messages = [user("First: ", AudioSlot(1), "second: ", AudioSlot(0), "Same speaker?")]
    segments = render(tokenizer, messages, CHATML)
    assert [s.audio for s in segments if s.audio is not None] == [1, 0]
    assert "First: [1]\nsecond: [0]\nSame speaker?" in spelled(tokenizer, segments)


def test_no_text_can_pass_for_an_audio(tokenizer: Any) -> None:
    segments = render(tokenizer, [user("\ue0000\ue001 and \ue000")], CHATML)
    assert [s.audio for s in segments] == [None]
    assert "user\n0 and <|im_end|>" in spelled(tokenizer, segments)


def test_characters_of_every_script_survive(tokenizer: Any) -> None:
    text = "Größe, 你好, مرحبا, 🎵"
    assert f"user\n{text}<|im_end|>" in spelled(tokenizer, render(tokenizer, [user(text)], CHATML))

"""What the prompts of a task begin with is read once, and changes no answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny_llama import tiny_llama

from evalkit.model import Audio, AudioSlot, GenerationSettings, Message, ModelInfo, Prepared, Request
from model_adapters.audio_llm import openings
from model_adapters.audio_llm.config import ProjectorConfig
from model_adapters.audio_llm.llm import embedding_norm
from model_adapters.audio_llm.model import AudioLLM, Parts
from model_adapters.audio_llm.openings import HELD, Openings
from model_adapters.audio_llm.projector import Projector
from model_adapters.audio_llm.prompt import CHATML
from model_adapters.audio_llm.tree import NO_OPENING, Opening, read_opening

SYSTEM = "You are a careful listener. Answer in a few plain words, and say nothing about how you found out."
BEGINNING = tuple(range(8))


def shared(held: Openings, *beginnings: tuple[int, ...], longest: int = 40) -> Opening:
    return held.shared(beginnings, longest)


def test_prompts_share_what_all_of_them_begin_with() -> None:
    found = shared(Openings(tiny_llama()), (*BEGINNING, 50, 51), (*BEGINNING, 50, 60), (*BEGINNING, 50))
    assert found.tokens == (*BEGINNING, 50)
    assert {keys.shape[2] for layer in found.layers for keys in layer} == {len(found)}


@pytest.mark.parametrize("beginnings", [((1, 2), (2, 2)), ((), BEGINNING)], ids=["others", "audio first"])
def test_prompts_that_begin_differently_share_nothing(beginnings: tuple[tuple[int, ...], ...]) -> None:
    assert len(shared(Openings(tiny_llama()), *beginnings)) == 0


def test_a_few_tokens_before_a_long_recording_are_not_worth_a_mask() -> None:
    held, width = Openings(tiny_llama()), 32
    limit = int((len(BEGINNING) * 12 * width) ** 0.5)
    assert len(shared(held, BEGINNING, BEGINNING, longest=limit)) == len(BEGINNING)
    assert len(shared(held, BEGINNING, BEGINNING, longest=limit + 1)) == 0


def test_a_prompt_by_itself_is_read_whole_whatever_was_read_before() -> None:
    held = Openings(tiny_llama())
    shared(held, BEGINNING, BEGINNING)
    assert len(shared(held, BEGINNING)) == 0


def test_the_last_openings_are_kept() -> None:
    held = Openings(tiny_llama())
    first = shared(held, BEGINNING, BEGINNING)
    assert shared(held, BEGINNING, (*BEGINNING, 7)) is first
    for token in range(HELD):
        shared(held, (*BEGINNING, token), (*BEGINNING, token))
    assert shared(held, BEGINNING, BEGINNING) is not first


def requests(clips: Any, choices: tuple[str, ...]) -> list[Request]:
    """With the clip before the question, two clips, the same clip again, and without any."""
    one, other = (Audio(clip, 16_000, "") for clip in clips(2))
    settings = GenerationSettings(max_new_tokens=6)
    return [
        Request(
            str(index),
            (
                Message("system", (SYSTEM,)),
                Message("user", (*(AudioSlot(i) for i in range(len(audios))), question)),
            ),
            audios,
            choices,
            settings,
        )
        for index, (audios, question) in enumerate(
            [((one,), "What?"), ((one, other), "Same?"), ((one,), "Who speaks?"), ((), "What?")]
        )
    ]


@pytest.mark.parametrize("choices", [(), ("yes", "no", "a long answer")])
def test_answers_are_those_of_prompts_read_whole_and_the_system_message_is_read_once(
    monkeypatch: pytest.MonkeyPatch,
    features: Any,
    whisper: Any,
    smollm: tuple[Any, Any],
    clips: Any,
    choices: tuple[str, ...],
) -> None:
    torch.manual_seed(0)
    projector = Projector(ProjectorConfig(kind="moe"), embedding_norm(smollm[0])).eval()
    parts = Parts(features, whisper, projector, *smollm, CHATML)
    model, plain = (AudioLLM(parts, ModelInfo("random", "0", "cpu", "float32")) for _ in range(2))
    prepared = [model.prepare(request) for request in requests(clips, choices)]
    read: list[str] = []

    def counted(llm: Any, tokens: Any) -> Opening:
        read.append(smollm[1].decode(tokens))
        return read_opening(llm, tokens)

    monkeypatch.setattr(openings, "read_opening", counted)
    positions: list[int] = []
    hook = smollm[0].model.register_forward_pre_hook(
        lambda module, args, given: positions.append(given["inputs_embeds"].shape[:2].numel()),
        with_kwargs=True,
    )
    together = _answers(model, [prepared, prepared[::-1]])[: len(prepared)]
    behind = positions[1]  # after the system message itself
    alone = _answers(model, [[one] for one in prepared])
    assert read == [f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n"]
    monkeypatch.setattr(Openings, "shared", lambda held, beginnings, longest: NO_OPENING)
    positions.clear()
    whole = _answers(plain, [prepared])
    hook.remove()
    assert behind < positions[0]
    for found in (together, alone):
        assert [one.text for one in found] == [one.text for one in whole]
        assert [one.input_tokens for one in found] == [one.cost for one in prepared]
        np.testing.assert_allclose(
            [one.choice_logprobs for one in found], [one.choice_logprobs for one in whole], atol=1e-3
        )


def _answers(model: AudioLLM, batches: list[list[Prepared]]) -> list[Any]:
    ask = model.score_choices if batches[0][0].request.choices else model.generate
    return [answer for batch in batches for answer in ask(batch)]

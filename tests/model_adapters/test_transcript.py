"""The language model that reads a transcript in place of the audio: real weights, real clips."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from evalkit.cards import resolve_model
from evalkit.model import (
    Audio,
    AudioSlot,
    GenerationSettings,
    Hints,
    LoadOptions,
    Message,
    ModelInfo,
    Request,
)
from model_adapters.backbone import Backbone
from model_adapters.transcript import TranscriptLLM, info, load
from model_adapters.whisper import Recogniser

RATE = 16_000
CHOICES = ("joy", "anger", "a long answer")


def audio(samples: Any) -> Audio:
    return Audio(np.asarray(samples, dtype=np.float32), RATE, "0")


HUM = audio(0.1 * np.sin(np.arange(RATE)))


def ask(*audios: Audio, said: tuple[str, ...] = (), choices: tuple[str, ...] = CHOICES) -> Request:
    content = (*(AudioSlot(i) for i in range(len(audios))), "Which mood is it?")
    hints = Hints(options=choices, transcripts=said, language="en")
    settings = GenerationSettings(max_new_tokens=5)
    return Request("s", (Message("user", content),), audios, choices, settings, hints)


@pytest.fixture(scope="module")
def model(backbone: Backbone, smollm: tuple[Any, Any]) -> TranscriptLLM:
    recogniser = Recogniser(backbone.whisper, torch.float32, torch.device("cpu"))
    return TranscriptLLM(recogniser, *smollm, ModelInfo("transcript", "0", "cpu", "float32"))


def scores(model: TranscriptLLM, *requests: Request) -> list[tuple[float, ...]]:
    responses = model.score_choices([model.prepare(one) for one in requests])
    assert {one.finish_reason for one in responses} == {"choices"}
    return [one.choice_logprobs for one in responses]


def as_text(request: Request) -> Request:
    """The same question, asked for text."""
    return replace(request, choices=())


def test_an_answer_weighs_as_much_as_the_transcript_makes_it_likelier(
    model: TranscriptLLM, smollm: tuple[Any, Any]
) -> None:
    llm, tokenizer = smollm

    def logprobs(said: str) -> list[float]:
        text = f'Transcript of the recording: "{said}"\nWhich mood is it?'
        chat = [{"role": "user", "content": text}]
        prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        found = []
        for choice in CHOICES:
            before, after = (tokenizer(part, add_special_tokens=False).input_ids for part in (prompt, choice))
            with torch.inference_mode():
                scores = llm(torch.tensor([before + after])).logits[0].log_softmax(-1)
            places = range(len(before) - 1, len(before) + len(after) - 1)
            found.append(sum(scores[at, token].item() for at, token in zip(places, after, strict=True)))
        return found

    expected = np.subtract(logprobs("Hooray, we won!"), logprobs(""))
    assert scores(model, ask(HUM, said=("Hooray, we won!",)))[0] == pytest.approx(expected.tolist(), abs=1e-3)


def test_what_is_said_decides(model: TranscriptLLM) -> None:
    happy, angry = ask(HUM, said=("Hooray, we won!",)), ask(HUM, said=("I hate you! Get out, you idiot!",))
    responses = model.generate([model.prepare(as_text(one)) for one in (happy, angry)])
    assert [one.text for one in responses] == ["joy", "anger"]
    best = [np.argmax(one) for one in scores(model, happy, angry)]
    assert [CHOICES[index] for index in best] == ["joy", "anger"]


def test_where_nothing_is_said_nothing_is_answered(model: TranscriptLLM) -> None:
    (silent,) = model.generate([model.prepare(as_text(ask(HUM, HUM, said=("", ""))))])
    assert (silent.text, silent.finish_reason) == ("", "stop")


def test_audio_is_not_heard_where_the_task_gives_the_transcript(model: TranscriptLLM) -> None:
    given = model.prepare(ask(HUM, said=("Watch it!",)))
    assert (given.payload.transcripts, given.payload.recordings) == (("Watch it!",), ())


def test_told_and_heard_share_a_batch_and_weigh_alike(model: TranscriptLLM, clips: Any) -> None:
    one, other = (audio(samples) for samples in clips(2))
    requests = [
        ask(HUM, said=("Watch it! " * 9,)),
        ask(one, other),
        ask(one, other, said=("Agent logged off.", "Thank you.")),
    ]
    long, heard, told = scores(model, *requests)
    assert heard == told != long
    assert long == pytest.approx(scores(model, requests[0])[0], abs=2e-3)


def test_without_choices_it_writes_within_the_limit(model: TranscriptLLM) -> None:
    asked = [ask(HUM, said=(said,), choices=()) for said in ("Thank you.", "Watch it! " * 9)]
    prepared = [model.prepare(one) for one in asked]
    responses = model.generate(prepared)
    assert responses == [model.generate([one])[0] for one in prepared]
    for response in responses:
        assert response.text
        assert (response.finish_reason == "length") == (response.output_tokens == 5)
        assert response.input_tokens > 20


def test_without_audio_there_is_nothing_to_read(model: TranscriptLLM) -> None:
    with pytest.raises(ValueError, match="there is no audio to be read out"):
        model.prepare(ask())


def test_every_recording_needs_its_transcript(model: TranscriptLLM) -> None:
    with pytest.raises(ValueError, match=r"2 recordings but 1 transcripts: the field .* one for each"):
        model.prepare(ask(HUM, HUM, said=("Watch it!",)))


def test_audio_that_whisper_cannot_take_is_refused(model: TranscriptLLM) -> None:
    with pytest.raises(ValueError, match="no samples"):
        model.prepare(ask(audio([])))


def test_its_fingerprint_covers_where_transcripts_come_from(backbone: Backbone) -> None:
    card = resolve_model("transcript")
    task, same, whisper = (
        info(card, LoadOptions(args=args)) for args in ({}, {"transcript": "task"}, {"transcript": "whisper"})
    )
    assert task == same
    assert task.fingerprint != whisper.fingerprint
    assert (task.hints, whisper.hints) == (("options", "transcripts", "language"), ("options", "language"))
    assert task.sources == backbone.sources
    assert load(card, LoadOptions()).info == task


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"transcript": "mine"}, "--model-args transcript=mine: expected task or whisper"),
        ({"language": "en"}, "transcript takes no --model-args language=, only transcript="),
    ],
)
def test_model_args_that_mean_nothing_are_refused(args: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        info(resolve_model("transcript"), LoadOptions(args=args))

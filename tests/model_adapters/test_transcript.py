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


def ask(*audios: Audio, transcripts: tuple[str, ...] = (), choices: tuple[str, ...] = CHOICES) -> Request:
    content = (*(AudioSlot(i) for i in range(len(audios))), "Which mood is it?")
    hints = Hints(transcripts=transcripts, language="en")
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


def test_the_transcript_stands_in_the_place_of_the_audio(model: TranscriptLLM) -> None:
    read = ask(HUM, transcripts=("Watch it!",))
    written = replace(
        ask(),
        messages=(Message("user", ('Transcript of the recording: "Watch it!"\n', "Which mood is it?")),),
    )
    assert scores(model, read) == scores(model, written)
    assert len({*scores(model, read, ask(HUM, transcripts=("Hooray!",)))}) == 2


def test_audio_is_not_heard_where_the_task_gives_the_transcript(model: TranscriptLLM) -> None:
    given = model.prepare(ask(HUM, transcripts=("Watch it!",)))
    assert (given.payload.transcripts, given.payload.recordings) == (("Watch it!",), ())


def test_whisper_hears_what_has_no_transcript(model: TranscriptLLM, clips: Any) -> None:
    one, other = (audio(samples) for samples in clips(2))
    heard = scores(model, ask(one, other))
    told = scores(model, ask(one, other, transcripts=("Agent logged off.", "Thank you.")))
    assert heard == told


def test_told_heard_and_without_audio_share_a_batch(model: TranscriptLLM, clips: Any) -> None:
    (clip,) = clips(1)
    requests = [ask(audio(clip)), ask(HUM, transcripts=("Watch it! " * 9,)), ask()]
    for one, together in zip(requests, scores(model, *requests), strict=True):
        assert together == pytest.approx(scores(model, one)[0], abs=2e-3)


def test_text_is_answered_within_the_limit(model: TranscriptLLM) -> None:
    (response,) = model.generate([model.prepare(ask(HUM, transcripts=("Thank you.",), choices=()))])
    assert response.text
    assert (response.finish_reason == "length") == (response.output_tokens == 5)
    assert response.input_tokens > 20


def test_every_recording_needs_its_transcript(model: TranscriptLLM) -> None:
    with pytest.raises(ValueError, match=r"2 recordings but 1 transcripts: the field .* one for each"):
        model.prepare(ask(HUM, HUM, transcripts=("Watch it!",)))


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
    assert (task.hints, whisper.hints) == (("transcripts", "language"), ("language",))
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

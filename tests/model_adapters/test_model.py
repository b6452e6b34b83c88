"""The audio LLM as a whole: the real backbone, a random MoE projector, real clips."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from evalkit.inside import Routed
from evalkit.model import Audio, AudioSlot, GenerationSettings, Message, ModelInfo, Request
from model_adapters.audio_llm.config import ProjectorConfig
from model_adapters.audio_llm.encoder import frame_count
from model_adapters.audio_llm.llm import embedding_norm
from model_adapters.audio_llm.model import MELS_BYTES, AudioLLM, Parts
from model_adapters.audio_llm.projector import Projector
from model_adapters.audio_llm.prompt import CHATML
from model_adapters.audio_llm.states import StateCache

RATE = 16_000
CHOICES = ("yes", "no", "a long answer")


def audio(samples: Any, rate: int = RATE) -> Audio:
    return Audio(np.asarray(samples, dtype=np.float32), rate, "0")


def request(*audios: Audio, choices: tuple[str, ...] = ()) -> Request:
    content = (*(AudioSlot(i) for i in range(len(audios))), "What do you hear?")
    settings = GenerationSettings(max_new_tokens=5)
    return Request("a", (Message("user", content),), audios, choices, settings)


@pytest.fixture(scope="module")
def parts(features: Any, whisper: Any, smollm: tuple[Any, Any]) -> Parts:
    torch.manual_seed(0)
    projector = Projector(ProjectorConfig(kind="moe"), embedding_norm(smollm[0]))
    return Parts(features, whisper, projector.eval(), *smollm, CHATML)


@pytest.fixture(scope="module")
def model(parts: Parts) -> AudioLLM:
    return AudioLLM(parts, ModelInfo("random", "0", "cpu", "float32"))


@pytest.fixture(scope="module")
def requests(clips: Any) -> list[Request]:
    return [request(audio(clip)) for clip in clips(8)]


def test_eight_together_answer_as_one_by_one(model: AudioLLM, requests: list[Request]) -> None:
    prepared = [model.prepare(r) for r in requests]
    together = model.generate(prepared)
    assert together == [model.generate([one])[0] for one in prepared]
    assert len({r.text for r in together}) > 1
    assert all(r.output_tokens <= 5 and r.input_tokens > 20 for r in together)
    assert {r.finish_reason for r in together if r.output_tokens == 5} <= {"length"}


def test_a_model_is_gone_as_soon_as_nobody_holds_it(parts: Parts, clips: Any) -> None:
    gc.disable()
    try:
        model = AudioLLM(parts, ModelInfo("random", "0", "cpu", "float32"))
        model.generate([model.prepare(request(audio(clip))) for clip in clips(2)])
        gone = weakref.ref(model)
        del model
        assert gone() is None
    finally:
        gc.enable()


def test_the_features_of_a_clip_are_made_once_for_all_its_questions(
    parts: Parts, features: Any, clips: Any
) -> None:
    made = []

    def counted(cut: Any) -> Any:
        made.append(cut)
        return features(cut)

    fresh = replace(parts, features=counted, states=StateCache(), mels=StateCache(MELS_BYTES))
    model = AudioLLM(fresh, ModelInfo("random", "0", "cpu", "float32"))
    one, other = clips(2)
    asked = [model.prepare(request(audio(clip))).payload.mels for clip in (one, one, other, one)]
    assert len(made) == 2
    assert asked[0][0][0] is asked[1][0][0] is asked[3][0][0]
    assert torch.equal(asked[2][0][0], features(other))


def test_no_features_are_made_of_a_clip_whose_states_are_held_unless_they_are_forgotten(
    parts: Parts, features: Any, clips: Any
) -> None:
    made = []

    def counted(cut: Any) -> Any:
        made.append(len(cut))
        return features(cut)

    one, other = clips(2)
    room_for_one = StateCache(4 * 512 * max(frame_count(len(clip)) for clip in (one, other)))
    fresh = replace(parts, features=counted, states=room_for_one, mels=StateCache(0))
    model = AudioLLM(fresh, ModelInfo("random", "0", "cpu", "float32"))
    (first,) = model.project([model.prepare(request(audio(one)))])
    assert made == [len(one)]
    again = model.prepare(request(audio(one)))
    (held,) = model.project([again])
    assert made == [len(one)]
    model.project([model.prepare(request(audio(other)))])  # takes its room
    (forgotten,) = model.project([again])
    assert made == [len(one), len(other), len(one)]
    for found in (held, forgotten):
        np.testing.assert_array_equal(found.embeddings, first.embeddings)


def test_the_audio_reaches_the_language_model(model: AudioLLM, clips: Any) -> None:
    one, other = clips(2)
    asked = [request(audio(clip), choices=CHOICES) for clip in (one, np.zeros_like(one), other)]
    scores = [r.choice_logprobs for r in model.score_choices([model.prepare(r) for r in asked])]
    assert len(set(scores)) == 3


def test_choices_are_scored_alike_in_a_batch_and_alone(model: AudioLLM, clips: Any) -> None:
    prepared = [model.prepare(request(audio(clip), choices=CHOICES)) for clip in clips(3)]
    together = model.score_choices(prepared)
    for one, response in zip(prepared, together, strict=True):
        alone = model.score_choices([one])[0].choice_logprobs
        assert response.choice_logprobs == pytest.approx(alone, abs=2e-3)
        assert response.finish_reason == "choices"
        assert len(response.choice_tokens) == 3


def test_the_cost_of_a_request_is_the_length_of_its_prompt(model: AudioLLM, clips: Any) -> None:
    one, other = (audio(c) for c in clips(2))
    for asked in (request(), request(one), request(one, other), request(audio(np.zeros(31 * RATE)))):
        prepared = model.prepare(asked)
        assert prepared.cost == model.generate([prepared])[0].input_tokens


def test_text_alone_and_several_audios_share_a_batch(model: AudioLLM, clips: Any) -> None:
    one, other = (audio(c) for c in clips(2))
    prepared = [model.prepare(r) for r in (request(), request(one, other), request(other))]
    assert model.generate(prepared) == [model.generate([p])[0] for p in prepared]


def test_routing_can_be_read_and_changes_no_answer(model: AudioLLM, requests: list[Request]) -> None:
    assert isinstance(model, Routed)
    prepared = [model.prepare(r) for r in requests[:3]]
    before = model.generate(prepared)
    found = model.project(prepared)
    assert [len(p.embeddings) for p in found] == [
        sum(-(-n // 4) for n in p.payload.frames[0]) for p in prepared
    ]
    for projection in found:
        (routing,) = projection.routing
        assert routing.probabilities.shape == (len(projection.embeddings), 8)
        assert routing.experts.shape == routing.gates.shape == (len(projection.embeddings), 4)
        np.testing.assert_allclose(routing.probabilities.sum(-1), 1, rtol=1e-5)
    assert model.generate(prepared) == before


def test_a_request_without_audio_has_no_routed_tokens(model: AudioLLM) -> None:
    (projection,) = model.project([model.prepare(request())])
    assert projection.routing[0].probabilities.shape == (0, 8)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (audio(np.zeros(100), rate=8_000), "audio of 8000 Hz; this model takes 16000 Hz"),
        (audio([]), "no samples"),
        (audio([0.0, float("nan")]), "NaN or infinite"),
        (audio([0.0, float("inf")]), "NaN or infinite"),
    ],
    ids=["rate", "empty", "nan", "inf"],
)
def test_audio_that_cannot_be_used_is_refused_before_it_is_in_a_batch(
    model: AudioLLM, bad: Audio, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model.prepare(request(bad))

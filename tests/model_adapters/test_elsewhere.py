"""Models on a device other than the CPU: nothing is mixed, answers are the same, and the host seldom waits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from elsewhere import ELSEWHERE, elsewhere

from evalkit.inside import Rerouting, Supervised
from evalkit.model import Audio, AudioSlot, GenerationSettings, Message, ModelInfo, Prepared, Request
from model_adapters.audio_llm.config import ProjectorConfig
from model_adapters.audio_llm.encoder import WhisperFeatures
from model_adapters.audio_llm.llm import Fp32Head
from model_adapters.audio_llm.model import AudioLLM, Parts
from model_adapters.audio_llm.projector import Projector
from model_adapters.audio_llm.prompt import CHATML
from model_adapters.audio_llm.states import StateCache
from model_adapters.backbone import Backbone
from model_adapters.whisper import Recogniser

Context = Callable[[], AbstractContextManager[Any]]

# The real one where there is one: `pytest -m gpu`.
no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
DEVICES = [
    pytest.param(ELSEWHERE, elsewhere, id="elsewhere"),
    pytest.param(torch.device("cuda:0"), nullcontext, id="cuda", marks=(pytest.mark.gpu, no_gpu)),
]
# A GPU rounds convolutions to TF32.
TOLERANCE = {ELSEWHERE.type: 1e-5, "cuda": 1e-2}
WIDTH = 32
CHOICES = ("yes", "no", "a long answer")
# Long enough to be read apart from what follows it.
SYSTEM = Message(
    "system", ("You are a careful listener. Answer in a few plain words, and say nothing else.",)
)


def tiny_parts(kind: str, tokenizer: Any) -> Parts:
    from transformers import LlamaConfig, LlamaForCausalLM, WhisperConfig, WhisperModel

    torch.manual_seed(0)
    layers = {
        "encoder_layers": 2,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "decoder_attention_heads": 2,
    }
    encoder = WhisperModel(WhisperConfig(d_model=WIDTH, decoder_layers=1, num_mel_bins=80, **layers)).encoder
    sizes = {"intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    llm = LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tokenizer), hidden_size=WIDTH, num_key_value_heads=2, **sizes)
    )
    llm.lm_head = Fp32Head(llm.lm_head.weight.detach())
    projector = Projector(ProjectorConfig(kind=kind, encoder_width=WIDTH, llm_width=WIDTH), 1.0)
    frozen = [module.requires_grad_(False).eval() for module in (encoder, projector, llm)]
    return Parts(WhisperFeatures(None), *frozen, tokenizer, CHATML)


def moved(parts: Parts, device: torch.device = ELSEWHERE) -> Parts:
    there = {name: copy.deepcopy(getattr(parts, name)).to(device) for name in ("encoder", "projector", "llm")}
    return replace(parts, **there, states=StateCache())


@pytest.fixture(scope="module", params=["dense", "moe"])
def parts(request: pytest.FixtureRequest, smollm: tuple[Any, Any]) -> Parts:
    return tiny_parts(request.param, smollm[1])


@pytest.fixture(scope="module")
def asked(clips: Any) -> Callable[..., list[Request]]:
    audios = [Audio(clip, 16_000, str(place)) for place, clip in enumerate(clips(3))]

    def make(choices: tuple[str, ...] = (), **settings: Any) -> list[Request]:
        """Two questions about the first clip, and one about each of the others."""
        return [
            Request(
                str(place),
                (SYSTEM, Message("user", (AudioSlot(0), question))),
                (audio,),
                choices,
                GenerationSettings(**{"max_new_tokens": 12, **settings, "seed": place}),
            )
            for place, (audio, question) in enumerate(
                zip([audios[0], *audios], ("Who?", "What do you hear?", "What?", "Where?"), strict=True)
            )
        ]

    return make


def model_of(parts: Parts) -> AudioLLM:
    return AudioLLM(parts, ModelInfo("random", "0", str(parts.llm.device), "float32"))


def prepared(model: AudioLLM, requests: list[Request]) -> list[Prepared]:
    return [model.prepare(request) for request in requests]


@pytest.mark.parametrize(("device", "on"), DEVICES)
@pytest.mark.parametrize("drawn", [{}, {"do_sample": True, "temperature": 1.2, "top_p": 0.9}])
def test_texts_are_those_of_the_cpu(
    parts: Parts, asked: Any, drawn: dict[str, Any], device: torch.device, on: Context
) -> None:
    here = model_of(parts)
    expected = here.generate(prepared(here, asked(**drawn)))
    with on():
        there = model_of(moved(parts, device))
        found = there.generate(prepared(there, asked(**drawn)))
    assert found == expected
    assert len({one.text for one in expected}) > 1


@pytest.mark.parametrize(("device", "on"), DEVICES)
def test_choices_are_weighed_as_on_the_cpu(
    parts: Parts, asked: Any, device: torch.device, on: Context
) -> None:
    here = model_of(parts)
    expected = here.score_choices(prepared(here, asked(CHOICES)))
    with on():
        there = model_of(moved(parts, device))
        found = there.score_choices(prepared(there, asked(CHOICES)))
    for one, other in zip(found, expected, strict=True):
        assert one.choice_logprobs == pytest.approx(other.choice_logprobs, abs=TOLERANCE[device.type])


def test_the_host_looks_at_tokens_once_in_eight(parts: Parts, asked: Any) -> None:
    with elsewhere() as looks:
        model = model_of(moved(parts))
        counts = []
        for longest in (8, 16, 64):
            batch = prepared(model, asked(max_new_tokens=longest))
            before = len(looks)
            written = model.generate(batch)
            assert max(one.output_tokens for one in written) == longest
            counts.append(len(looks) - before)
    assert [count - counts[0] for count in counts] == [0, 1, 7]


def test_diagnostics_read_a_projector_elsewhere(smollm: tuple[Any, Any], asked: Any) -> None:
    parts = tiny_parts("moe", smollm[1])
    here = model_of(parts)
    expected = here.project(prepared(here, asked()))
    with elsewhere():
        there = model_of(moved(parts))
        batch = prepared(there, asked())
        found, outputs = there.project(batch), there.expert_outputs(batch)
        changed = [
            there.rerouted(change).project(batch)
            for change in (Rerouting(forced="even"), Rerouting(off=(1,)))
        ]
    for one, other, experts in zip(found, expected, outputs, strict=True):
        assert one.embeddings == pytest.approx(other.embeddings, abs=1e-5)
        assert experts[0].shape[0] == len(one.embeddings)
    assert all(len(one) == len(expected) for one in changed)


def test_devices_that_are_mixed_are_noticed() -> None:
    with elsewhere() as looks:
        there = torch.ones(3, device=ELSEWHERE)
        with pytest.raises(RuntimeError, match=r"aten::add\.Tensor takes tensors on elsewhere:0 and"):
            there + torch.ones(3)
        with pytest.raises(RuntimeError, match="and on the CPU"):
            torch.arange(3)[there.long()]
        assert not looks
        assert (there + 1).tolist() == [2.0, 2.0, 2.0]
    assert looks == ["aten::_to_copy"]


def test_gradients_are_those_of_the_cpu(parts: Parts, asked: Any) -> None:
    def taken(model: AudioLLM) -> dict[str, Any]:
        return model.gradients(
            [Supervised(one, "a violin", closed=False) for one in prepared(model, asked())]
        )

    expected = taken(model_of(parts))
    with elsewhere():
        found = taken(model_of(moved(parts)))
    assert found.keys() == expected.keys()
    for part, gradient in expected.items():
        assert found[part] == pytest.approx(gradient, abs=1e-6)


def test_whisper_transcribes_elsewhere(backbone: Backbone, clips: Any) -> None:
    cpu = Recogniser(backbone.whisper, torch.float32, torch.device("cpu"))
    heard = [
        cpu.recording(Audio(clip, 16_000, ""), language)
        for clip, language in zip(clips(2), (None, "en"), strict=True)
    ]
    expected = cpu.transcribe(heard, 8)
    with elsewhere():
        there = Recogniser(backbone.whisper, torch.float32, ELSEWHERE)
        assert there.transcribe(heard, 8) == expected
        assert there.language_logprobs(heard)[0]["en"] == pytest.approx(
            cpu.language_logprobs(heard)[0]["en"], abs=1e-4
        )

"""Recogniser, then LLM: the mini pair, real weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_chat
import torch
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    GPT2Config,
    GraniteConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    PreTrainedConfig,
    Qwen3Config,
)

from evalkit.cards import load_model, model_info, resolve_model
from evalkit.model import Audio, AudioSlot, Card, GenerationSettings, LoadOptions, Message, Request
from model_adapters.audio_llm import llm
from model_adapters.backbone import Backbone

CPU = LoadOptions(device="cpu")


@pytest.fixture(scope="module")
def model(backbone: Backbone) -> Any:
    return load_model(resolve_model("cascade_mini"), CPU)


@pytest.fixture(scope="module")
def heard(model: Any, clips: Any) -> Any:
    """The request about the first clip, prepared: "Agent logged off."."""
    audio = Audio(np.asarray(clips(1)[0], dtype=np.float32), 16_000, "0")
    content = (AudioSlot(0), "Repeat the transcript.")
    settings = GenerationSettings(max_new_tokens=8)
    return Request("s", (Message("user", content),), (audio,), settings=settings)


def test_the_llm_reads_what_the_recogniser_heard(
    model: Any, heard: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    whole = model._tokenizer.apply_chat_template

    def noting(chat: Any, **kwargs: Any) -> Any:
        read.append(chat[-1]["content"])
        return whole(chat, **kwargs)

    monkeypatch.setattr(model._tokenizer, "apply_chat_template", noting)
    (response,) = model.generate([model.prepare(heard)])
    assert read == ['Transcript of the recording: "Agent logged off."\nRepeat the transcript.']
    assert "agent" in str(response.text).lower()
    assert response.output_tokens <= 8


def test_choices_are_weighed_by_the_llm(model: Any, heard: Request) -> None:
    choices = ("Agent logged off.", "Purple elephants sing.")
    (response,) = model.score_choices([model.prepare(replace(heard, choices=choices))])
    likely, odd = response.choice_logprobs
    assert 0 > likely > odd


def test_an_llm_of_its_own_in_bf16_has_its_output_layer_in_fp32_as_the_mini_one_has(tmp_path: Path) -> None:
    words = tiny_chat.tokenizer({})
    config = LlamaConfig(**tiny_chat.TEXT, vocab_size=len(words))
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    model, _ = llm.load_llm(tmp_path, torch.bfloat16, torch.device("cpu"))
    hidden = torch.randn(3, 32).bfloat16()
    weight = LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16).lm_head.weight
    with torch.inference_mode():
        torch.testing.assert_close(model.lm_head(hidden), hidden.float() @ weight.float().T)
    assert model.model.layers[0].mlp.up_proj.weight.dtype == torch.bfloat16


def small(config: type[PreTrainedConfig], folder: Path, **more: Any) -> Path:
    """A random LLM of another kind, saved."""
    words = tiny_chat.tokenizer({})
    model = AutoModelForCausalLM.from_config(config(**tiny_chat.TEXT, vocab_size=len(words), **more))
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("config", "more", "why"),
    [
        (GraniteConfig, {"logits_scaling": 8.0}, "changes the values of its output layer"),
        (CohereConfig, {"logit_scale": 0.0625}, "changes the values of its output layer"),
        (MistralConfig, {"sliding_window": 16}, "do not attend to the whole prompt"),
        (GPT2Config, {"n_embd": 32, "n_layer": 1, "n_head": 4}, "has no layers `model` and `lm_head`"),
    ],
)
def test_an_llm_that_the_loops_would_misread_is_refused(
    config: type[PreTrainedConfig], more: dict[str, Any], why: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"{why}, and cannot be read here; name another LLM"):
        llm.load_llm(small(config, tmp_path, **more), torch.float32, torch.device("cpu"))


@pytest.mark.parametrize("config", [MistralConfig, Qwen3Config])
def test_an_llm_that_attends_to_everything_is_taken(config: type[PreTrainedConfig], tmp_path: Path) -> None:
    whole = {"sliding_window": None}
    model, _ = llm.load_llm(small(config, tmp_path, **whole), torch.bfloat16, torch.device("cpu"))
    assert model.lm_head.weight.dtype == torch.float32


def test_its_identity_covers_both_halves(backbone: Backbone, tmp_path: Path) -> None:
    card = resolve_model("cascade_mini")
    own = model_info(card, CPU)
    assert own is not None
    (tmp_path / "llm").symlink_to(backbone.llm)
    other = model_info(replace(card, config={"asr": "backbone", "llm": str(tmp_path / "llm")}), CPU)
    assert other is not None
    assert own.fingerprint != other.fingerprint
    assert own.parameters == other.parameters
    assert str(tmp_path) not in repr(other)


def test_a_card_without_both_halves_is_refused() -> None:
    with pytest.raises(ValueError, match="its config needs `asr` and `llm`"):
        model_info(Card("c", "cascade", {"asr": "backbone"}, Path("c.yaml")), CPU)

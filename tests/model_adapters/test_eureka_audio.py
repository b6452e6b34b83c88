"""Eureka-Audio against a stand-in with its authors' published interface: messages, files and settings."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evalkit.cards import load_model, read_card, resolve_model
from evalkit.model import Audio, AudioSlot, Card, GenerationSettings, LoadOptions, Message, Request

RATE = 16_000
# Signature and defaults as published; it answers with what it hears.
STAND_IN = """
import soundfile

calls = []


class EurekaAudio:
    def __init__(self, model_path, device="cuda"):
        self.model_path, self.device = model_path, device

    def generate(self, messages, max_new_tokens=512, temperature=0.7, top_p=0.8, top_k=20, do_sample=True,
                 repetition_penalty=1.05, stop_sequences=None):
        calls.append({"messages": messages, "max_new_tokens": max_new_tokens, "temperature": temperature,
                      "top_p": top_p, "top_k": top_k, "do_sample": do_sample,
                      "repetition_penalty": repetition_penalty})
        parts = [part for message in messages for part in message["content"]]
        files = [part["audio_url"]["url"] for part in parts if part["type"] == "audio_url"]
        heard = [soundfile.read(file, dtype="float32") for file in files]
        return " ".join(f"{len(samples)}@{rate} {abs(samples).max():.3f}" for samples, rate in heard)
"""


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    """A folder of weights, and the authors' package installed."""
    package = tmp_path / "site" / "eureka_infer"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "api.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(package.parent))
    for name in ("eureka_infer", "eureka_infer.api"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    weights = tmp_path / "weights"
    weights.mkdir()
    code = {"model_type": "eureka_audio", "auto_map": {"AutoModelForCausalLM": "modeling.Eureka"}}
    (weights / "config.json").write_text(json.dumps(code))
    (tmp_path / "eureka.yaml").write_text("name: eureka\nloader: eureka_audio\nconfig: {model: ./weights}\n")
    return read_card(tmp_path / "eureka.yaml")


def trusting(**args: str) -> LoadOptions:
    return LoadOptions(device="cpu", args=args, trust_remote_code=True)


def ask(*audios: Audio, **more: Any) -> Request:
    content = (*(AudioSlot(index) for index in range(len(audios))), "Which animal?")
    settings = GenerationSettings(max_new_tokens=9)
    return Request("s", (Message("user", content),), audios, settings=settings, **more)


def audio(length: int, level: float) -> Audio:
    return Audio(np.full(length, level, dtype=np.float32), RATE, "0")


def calls() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sys.modules["eureka_infer.api"].calls
    return found


def test_the_audio_reaches_the_model_sample_by_sample(card: Card) -> None:
    model = load_model(card, trusting())
    requests = [ask(audio(1600, 0.25)), ask(audio(800, 0.5), audio(400, 0.125))]
    heard = [response.text for response in model.generate([model.prepare(one) for one in requests])]
    assert heard == ["1600@16000 0.250", "800@16000 0.500 400@16000 0.125"]


def test_questions_have_no_system_prompt_and_are_answered_greedily(card: Card) -> None:
    model = load_model(card, trusting())
    model.generate([model.prepare(ask(audio(16, 0.5)))])
    (call,) = calls()
    (message,) = call["messages"]
    assert message["role"] == "user"
    assert [part["type"] for part in message["content"]] == ["audio_url", "text"]
    assert message["content"][1]["text"] == "Which animal?"
    assert (call["do_sample"], call["temperature"], call["top_p"], call["top_k"]) == (False, 0.0, 0.0, 0)
    assert (call["max_new_tokens"], call["repetition_penalty"]) == (9, 1.05)
    assert not Path(message["content"][0]["audio_url"]["url"]).exists()


def test_replicas_that_sample_at_the_same_time_do_not_mix_their_draws(card: Card) -> None:
    def drawn(*_: Any, **__: Any) -> str:
        time.sleep(0.05)  # so that another thread has set its seed, unless it waits
        return f"{torch.rand(1).item():.6f}"

    model: Any = load_model(card, trusting())
    model._model.generate = drawn
    settings = [GenerationSettings(do_sample=True, seed=seed) for seed in range(4)]
    asked = [model.prepare(replace(ask(audio(16, 0.5)), settings=one)) for one in settings]
    alone = model.generate(asked)
    assert len({response.text for response in alone}) == 4
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda one: model.generate([one])[0], asked)) == alone


def test_recognition_has_the_authors_system_prompt_and_the_audio_alone(card: Card) -> None:
    model = load_model(card, trusting(prompt="asr"))
    model.generate([model.prepare(ask(audio(16, 0.5)))])
    system, user = calls()[0]["messages"]
    assert system == {
        "role": "system",
        "content": [
            {"type": "text", "text": "You are an advanced ASR (Automatic Speech Recognition) AI assistant."}
        ],
    }
    assert [part["type"] for part in user["content"]] == ["audio_url"]
    assert model.info.fingerprint != load_model(card, trusting()).info.fingerprint


def test_choices_are_offered_by_letters(card: Card) -> None:
    model = load_model(card, trusting())
    (response,) = model.score_choices([model.prepare(ask(audio(16, 0.5), choices=("cat", "dog")))])
    assert calls()[0]["messages"][0]["content"][-1]["text"].startswith("\nA. cat\nB. dog\n")
    assert (response.text, response.choice_logprobs) == ("16@16000 0.500", ())


@pytest.mark.security
def test_none_of_its_code_runs_without_the_users_word(card: Card) -> None:
    with pytest.raises(ValueError, match="read it, then allow it by --trust-remote-code"):
        load_model(card, LoadOptions(device="cpu"))
    assert "eureka_infer" not in sys.modules


def test_without_the_authors_package_its_source_is_named(card: Card, tmp_path: Path) -> None:
    (tmp_path / "site" / "eureka_infer" / "api.py").unlink()
    with pytest.raises(ValueError, match=r"install it from https://github\.com/Alittleegg/Eureka-Audio"):
        load_model(card, trusting())


def test_a_prompt_that_it_does_not_know_is_refused(card: Card) -> None:
    with pytest.raises(ValueError, match="prompt is one of question, asr, not 'sing'"):
        load_model(card, trusting(prompt="sing"))


def test_its_cards_say_how_far_it_was_tested() -> None:
    assert {resolve_model(name).status for name in ("eureka_audio", "eureka_audio_asr")} == {
        "interface-tested"
    }

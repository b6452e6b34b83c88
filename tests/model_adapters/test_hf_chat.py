"""Real audio-text chat classes with tiny random weights: audio is heard, batches equal singles, choices weigh."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_chat
import tiny_wide
import torch

from evalkit.cards import load_model, model_info, resolve_model
from evalkit.model import Audio, AudioSlot, GenerationSettings, LoadOptions, Message, Request
from model_adapters.hf_chat.model import ChatModel

RATE = 16_000
TONE = Audio(np.sin(np.arange(RATE) / 5).astype(np.float32), RATE, "tone")
NOISE = Audio(np.random.default_rng(0).normal(0, 0.3, 3 * RATE // 2).astype(np.float32), RATE, "noise")
SILENCE = Audio(np.zeros(RATE, dtype=np.float32), RATE, "silence")
CPU = LoadOptions(device="cpu")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("chat")
    return {name: tiny_chat.save(name, make, folder) for name, make in tiny_chat.MAKERS.items()}


@pytest.fixture(scope="session", params=sorted({*tiny_chat.MAKERS, *tiny_wide.WIDE}))
def model(
    request: pytest.FixtureRequest, tiny: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    folder = tiny.get(request.param)
    if folder is None:
        make, packages = tiny_wide.WIDE[request.param]
        for package in packages:
            # A torchvision built for another torch raises RuntimeError.
            pytest.importorskip(package, exc_type=(ImportError, OSError, RuntimeError))
        folder = tiny_chat.save(request.param, make, tmp_path_factory.mktemp("wide"))
    return load_model(resolve_model(f"hf:{folder}"), CPU)


def ask(*audios: Audio, text: str = "What is it?", **settings: Any) -> Request:
    content = (*(AudioSlot(index) for index in range(len(audios))), text)
    given = GenerationSettings(**{"max_new_tokens": 6, **settings})
    return Request("s", (Message("user", content),), audios, settings=given)


@torch.inference_mode()
def logits(model: Any, *requests: Request) -> torch.Tensor:
    """Next-token logits [n, vocabulary] after each prompt."""
    inputs = model.inputs([model.prepare(one).payload.conversation for one in requests])
    found: torch.Tensor = model._model(**inputs).logits[:, -1]
    return found


def test_hf_finds_the_adapter_by_the_class_of_the_checkpoint(model: Any) -> None:
    assert isinstance(model, ChatModel)
    weights = {value.data_ptr(): value.numel() for value in model._model.state_dict().values()}
    assert model.info.parameters == sum(weights.values())


def test_other_audio_gives_other_logits(model: Any) -> None:
    heard, silent = logits(model, ask(TONE)), logits(model, ask(SILENCE))
    assert (heard - silent).abs().max() > 0.01
    torch.testing.assert_close(heard, logits(model, ask(TONE)))


def test_a_batch_equals_its_samples_one_by_one(model: Any) -> None:
    requests = [ask(TONE), ask(NOISE, text="A longer question: what is to be heard?"), ask(SILENCE)]
    if model._batched:
        together = logits(model, *requests)
        alone = torch.cat([logits(model, one) for one in requests])
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    prepared = [model.prepare(one) for one in requests]
    batch = model.generate(prepared)
    assert batch == [model.generate([one])[0] for one in prepared]
    assert {response.finish_reason for response in batch} <= {"stop", "length"}


def test_text_without_audio_is_answered_too(model: Any) -> None:
    asked = ask()
    asked = replace(asked, messages=(Message("system", ("Be brief.",)), *asked.messages))
    (response,) = model.generate([model.prepare(asked)])
    assert response.input_tokens > 10
    assert isinstance(response.text, str)


def test_choices_are_weighed_as_the_model_would_write_them(model: Any) -> None:
    request = replace(ask(TONE), choices=("cat", "a dog"))
    (response,) = model.score_choices([model.prepare(request)])
    inputs = model.inputs([model.prepare(request).payload.conversation])
    for choice, found, count in zip(
        request.choices, response.choice_logprobs, response.choice_tokens, strict=True
    ):
        tokens = model._tokenizer(choice, add_special_tokens=False).input_ids
        assert count == len(tokens)
        grown, total = dict(inputs), 0.0
        for token in tokens:  # token by token, without padding
            with torch.inference_mode():
                scores = model._model(**grown).logits[0, -1].log_softmax(-1)
            total += float(scores[token])
            grown["input_ids"] = torch.cat([grown["input_ids"], torch.tensor([[token]])], 1)
            grown["attention_mask"] = torch.ones_like(grown["input_ids"])
        assert found == pytest.approx(total, abs=1e-3)


def test_choices_that_do_not_fit_together_are_weighed_in_halves(tiny: dict[str, Path]) -> None:
    model: Any = load_model(resolve_model(f"hf:{tiny['qwen2_audio']}"), CPU)
    prepared = model.prepare(replace(ask(TONE), choices=("cat", "a dog", "no", "rain falling", "yes")))
    (together,) = model.score_choices([prepared])
    rows: list[int] = []

    def full(module: Any, args: Any, given: Any) -> None:
        rows.append(len(given["input_ids"]))
        if rows[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    model._model.register_forward_pre_hook(full, with_kwargs=True)
    (halved,) = model.score_choices([prepared])
    assert rows == [5, 3, 2, 1, 2]
    assert halved.choice_logprobs == pytest.approx(together.choice_logprobs, abs=1e-4)
    assert replace(halved, choice_logprobs=together.choice_logprobs) == together


def test_sampling_follows_the_seed_of_each_sample(model: Any) -> None:
    drawn = [ask(TONE, do_sample=True, seed=seed) for seed in (1, 2, 1)]
    first, second, again = (r.text for r in model.generate([model.prepare(one) for one in drawn]))
    assert first == again != second


def test_replicas_that_sample_at_the_same_time_do_not_mix_their_draws(
    tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = load_model(resolve_model(f"hf:{tiny['qwen2_audio']}"), CPU)
    prepared = [model.prepare(ask(TONE, do_sample=True, seed=seed)) for seed in (1, 2)]
    alone = model.generate(prepared)
    whole = model._model.generate

    def slow(**given: Any) -> Any:
        time.sleep(0.2)  # so that the other has drawn, unless it waits
        return whole(**given)

    monkeypatch.setattr(model._model, "generate", slow)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda one: model.generate([one])[0], prepared)) == alone


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (Audio(np.zeros(100, dtype=np.float32), 8_000, "0"), "audio of 8000 Hz; this model takes 16000 Hz"),
        (Audio(np.full(9, np.nan, dtype=np.float32), RATE, "0"), "NaN"),
    ],
)
def test_audio_that_it_cannot_take_is_refused(model: Any, audio: Audio, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.prepare(ask(audio))


def test_a_processor_that_drops_the_audio_is_caught(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    way = "_marked" if model._mark else "_templated"
    whole = getattr(model, way)

    def deaf(*args: Any, **kwargs: Any) -> Any:
        made = whole(*args, **kwargs)
        return {name: made[name] for name in ("input_ids", "attention_mask")}

    monkeypatch.setattr(model, way, deaf)
    with pytest.raises(ValueError, match="made nothing of the audio"):
        model.generate([model.prepare(ask(TONE))])


def test_its_identity_is_its_files_wherever_they_are(tiny: dict[str, Path], tmp_path: Path) -> None:
    folder = tiny["qwen2_audio"]
    moved = tmp_path / "elsewhere"
    moved.symlink_to(folder)
    before, after = (model_info(resolve_model(f"hf:{place}"), CPU) for place in (folder, moved))
    assert before is not None
    assert after is not None
    assert (before.name, after.name) == ("qwen2_audio", "qwen2_audio")
    assert before.fingerprint == after.fingerprint
    assert str(folder) not in repr(before)
    other = model_info(resolve_model(f"hf:{tiny['audio_flamingo_3']}"), CPU)
    assert other is not None
    assert other.fingerprint != before.fingerprint


@pytest.mark.security
def test_code_that_comes_with_weights_is_not_run_unasked(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"model_type": "strange", "architectures": ["Strange"], "audio_config": {},'
        ' "auto_map": {"AutoModel": "strange.Strange"}}'
    )
    (tmp_path / "strange.py").write_text("raise SystemExit('it ran')\n")
    with pytest.raises(
        ValueError, match="brings code of its own; read it, then allow it by --trust-remote-code"
    ):
        load_model(resolve_model(f"hf:{tmp_path}"), CPU)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"architectures": ["BertModel"]}', "is a BertModel; hf: loads Whisper, CTC recognisers and"),
        ("[]", "config.json holds no object"),
        ("{", "its config.json cannot be read"),
    ],
)
def test_a_checkpoint_of_another_kind_is_named(tmp_path: Path, config: str, message: str) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ValueError, match=message):
        load_model(resolve_model(f"hf:{tmp_path}"), CPU)


def test_a_relative_folder_starts_where_the_command_is_typed(
    tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny["qwen2_audio"].parent)
    here = model_info(resolve_model("hf:./qwen2_audio"), CPU)
    there = model_info(resolve_model(f"hf:{tiny['qwen2_audio']}"), CPU)
    assert here == there


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no folder"):
        load_model(resolve_model(f"hf:{tmp_path}/none"), CPU)

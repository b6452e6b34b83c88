"""CTC recognisers of the real classes with tiny random weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evalkit.cards import load_model, resolve_model
from evalkit.model import Audio, AudioSlot, GenerationSettings, LoadOptions, Message, Request

RATE = 16_000
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": (16, 16, 16),
    "conv_stride": (5, 4, 4),
    "conv_kernel": (10, 8, 4),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}


def save(kind: str, folder: Path, norm: str) -> Path:
    """A checkpoint with letters for labels; `norm` "layer" masks padding, "group" must not see any."""
    from transformers import (
        HubertConfig,
        HubertForCTC,
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    torch.manual_seed(3)
    config_class, model_class = {
        "wav2vec2": (Wav2Vec2Config, Wav2Vec2ForCTC),
        "hubert": (HubertConfig, HubertForCTC),
    }[kind]
    labels = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({label: place for place, label in enumerate(labels)}))
    stable = norm == "layer"
    config = config_class(
        vocab_size=len(labels), feat_extract_norm=norm, do_stable_layer_norm=stable, **SIZES
    )
    model = model_class(config)
    for weight in model.lm_head.parameters():
        torch.nn.init.normal_(weight, std=1.0)
    model.save_pretrained(folder)
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=stable)
    Wav2Vec2Processor(extractor, Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))).save_pretrained(folder)
    return folder


@pytest.fixture(
    scope="module", params=[("wav2vec2", "group"), ("wav2vec2", "layer"), ("hubert", "layer")], ids=str
)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = save(request.param[0], tmp_path_factory.mktemp("ctc") / "ears", request.param[1])
    return load_model(resolve_model(f"hf:{folder}"), LoadOptions(device="cpu"))


def noise(seconds: float, seed: int) -> Audio:
    samples = np.random.default_rng(seed).normal(0, 0.3, round(seconds * RATE)).astype(np.float32)
    return Audio(np.cumsum(samples) / 10 if seed % 2 else samples, RATE, str(seed))


def ask(*audios: Audio) -> Request:
    return Request("s", (Message("user", tuple(AudioSlot(i) for i in range(len(audios)))),), audios)


def heard(model: Any, *requests: Request) -> list[str]:
    return [response.text for response in model.generate([model.prepare(one) for one in requests])]


def test_what_it_hears_is_the_class_own_greedy_path(model: Any) -> None:
    audio = noise(1.0, 0)
    inputs = model._processor(audio.samples, sampling_rate=RATE, return_tensors="pt")
    with torch.inference_mode():
        rows = model._model(**inputs).logits.argmax(-1)
    (text,) = heard(model, ask(audio))
    assert text == model._processor.batch_decode(rows)[0].strip()
    assert text


def test_other_audio_other_text_and_batches_equal_singles(model: Any) -> None:
    requests = [ask(noise(1.0, 0)), ask(noise(2.5, 1)), ask(noise(0.3, 2))]
    together = heard(model, *requests)
    assert together == [heard(model, one)[0] for one in requests]
    assert len(set(together)) == 3


def test_recordings_get_a_line_each_and_long_ones_go_window_by_window(model: Any) -> None:
    one, other = noise(1.0, 0), noise(2.5, 1)
    both = heard(model, ask(one, other))[0]
    assert both == "\n".join([*heard(model, ask(one)), *heard(model, ask(other))])
    long = replace(one, samples=np.concatenate([np.tile(one.samples, 30), other.samples]))
    prepared = model.prepare(ask(long))
    assert prepared.cost == 2
    assert heard(model, ask(long))[0].endswith(heard(model, ask(other))[0])


def test_audio_shorter_than_a_frame_is_heard(model: Any) -> None:
    assert heard(model, ask(Audio(np.ones(3, dtype=np.float32), RATE, "0")))[0] is not None


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (replace(ask(noise(1, 0)), choices=("a", "b")), "cannot weigh choices"),
        (replace(ask(noise(1, 0)), settings=GenerationSettings(do_sample=True)), "cannot sample"),
        (ask(), "there is no audio to hear"),
    ],
    ids=["choices", "sampling", "nothing"],
)
def test_what_it_cannot_do_is_refused(model: Any, request_: Request, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.prepare(request_)

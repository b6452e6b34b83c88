"""A training run, from a recipe to a checkpoint and its card."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from evalkit.artifacts import cache_dir
from evalkit.tasks.schema import AudioRef
from model_adapters.audio_llm import encoder, llm
from model_adapters.audio_llm.checkpoint import write_weights
from model_adapters.audio_llm.loading import pick_device
from model_adapters.audio_llm.projector import Projector
from model_adapters.audio_llm.prompt import CHATML
from model_adapters.audio_llm.training.align import CtcHead, align_stage, extend_stage
from model_adapters.audio_llm.training.data import Example, read_examples
from model_adapters.audio_llm.training.features import cached_states
from model_adapters.audio_llm.training.loop import run_stage
from model_adapters.audio_llm.training.recipe import Recipe
from model_adapters.audio_llm.training.tune import add_lora, lora_state, tune_stage
from model_adapters.backbone import Backbone, resolve


def train(recipe: Recipe, output: Path, *, data: Path, device: str, say: Callable[[str], None]) -> Path:
    """Writes `<output>/<name>.safetensors` and a card beside it, and returns the card's path.

    data: folder of the recipe's JSONL files. Stages, curves and features are kept, so that the same call
    goes on after a kill and ends as an uninterrupted run would have.
    """
    place = pick_device(device)
    dtype = torch.bfloat16
    output.mkdir(parents=True, exist_ok=True)
    backbone = resolve("mini")
    model, tokenizer = llm.load_llm(backbone.llm, dtype, place)
    examples = read_examples(recipe.data, data, tokenizer, CHATML)
    states = _states(examples, backbone, dtype, place, say)
    torch.manual_seed(recipe.seed)
    projector = Projector(recipe.projector, llm.embedding_norm(model)).to(place)
    speech = [e for e in examples if recipe.data[e.source].align]
    head = _head(speech, model).to(place)
    run_stage(align_stage(recipe, examples, states, projector, head), recipe, output, say)
    named = [e for e in examples if recipe.data[e.source].extend]
    wider = _head([*speech, *named], model).to(place)
    wider.load_state_dict(head.state_dict())
    run_stage(extend_stage(recipe, examples, states, projector, wider), recipe, output, say)
    add_lora(model, recipe.lora, recipe.seed)
    run_stage(tune_stage(recipe, examples, states, projector, model), recipe, output, say)
    write_weights(output / f"{recipe.name}.safetensors", projector.state_dict(), lora_state(model))
    return _write_card(recipe, output, len(examples), place)


def _head(examples: Sequence[Example], model: torch.nn.Module) -> CtcHead:
    embeddings: torch.nn.Embedding = model.get_input_embeddings()  # type: ignore[operator]
    return CtcHead(sorted({t for e in examples for t in e.spoken}), embeddings.weight.detach().cpu())


def _states(
    examples: list[Example],
    backbone: Backbone,
    dtype: torch.dtype,
    device: torch.device,
    say: Callable[[str], None],
) -> list[list[torch.Tensor]]:
    """Encoder states of every example's audios; a clip that several examples ask about is encoded once."""
    began = time.monotonic()

    def load() -> tuple[encoder.WhisperFeatures, torch.nn.Module]:
        features = encoder.WhisperFeatures(backbone.whisper)
        return features, encoder.load_encoder(backbone.whisper, dtype, device)

    def report(done: int, total: int) -> None:
        seconds = time.monotonic() - began
        if done == total or done % 2048 == 0:
            say(f"features {done}/{total}; {seconds / done * (total - done) / 60:.1f} min left")

    found: dict[AudioRef, torch.Tensor] = {}
    for source in sorted({e.source for e in examples}):
        audios = list(dict.fromkeys(a for e in examples if e.source == source for a in e.audios))
        key = f"{backbone.fingerprint}/{dtype}"
        states = cached_states(cache_dir() / "features", audios, key, load, report)
        found.update(zip(audios, states, strict=True))
    return [[found[audio] for audio in example.audios] for example in examples]


def is_trained(recipe: Recipe, output: Path) -> bool:
    """Whether `output` holds the card of a finished training by just this recipe."""
    path = output / f"{recipe.name}.yaml"
    if not path.exists():
        return False
    config = yaml.safe_load(path.read_text(encoding="utf-8"))["config"]
    return all(config[part] | wanted == config[part] for part, wanted in _decided(recipe).items())


def _decided(recipe: Recipe) -> dict[str, Any]:
    """What a card says that the recipe decides."""
    return {
        "projector": recipe.projector.model_dump(),
        "lora": recipe.lora.model_dump(),
        "training": recipe.model_dump(mode="json", exclude={"name", "projector", "lora"}),
    }


def _write_card(recipe: Recipe, output: Path, clips: int, device: torch.device) -> Path:
    decided = _decided(recipe)
    made = {"torch": str(torch.__version__), "device": device.type}
    card = {
        "name": recipe.name,
        "loader": "audio_llm",
        "license": "Apache-2.0",
        "config": {
            "projector": decided["projector"],
            "lora": decided["lora"],
            "weights": f"{recipe.name}.safetensors",
            "training": {"clips": clips, **decided["training"], "made": made},
        },
    }
    path = output / f"{recipe.name}.yaml"
    partial = path.with_suffix(".partial")
    partial.write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    # The card says that training is over, so it comes whole or not at all.
    partial.replace(path)
    return path

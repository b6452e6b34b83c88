"""A training run, from a recipe to a checkpoint and its card."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml

from evalkit.artifacts import cache_dir
from evalkit.data import content_sha256
from evalkit.tasks.schema import AudioRef
from model_adapters.audio_llm import encoder, llm
from model_adapters.audio_llm.checkpoint import write_weights
from model_adapters.audio_llm.loading import check_widths, pick_device
from model_adapters.audio_llm.projector import Projector
from model_adapters.audio_llm.prompt import CHATML
from model_adapters.audio_llm.training.align import CtcHead, align_stage, extend_stage
from model_adapters.audio_llm.training.data import Example, read_examples
from model_adapters.audio_llm.training.features import cached_states
from model_adapters.audio_llm.training.loop import Stage, run_stage
from model_adapters.audio_llm.training.recipe import Recipe
from model_adapters.audio_llm.training.tune import add_lora, lora_state, tune_stage
from model_adapters.backbone import Backbone, resolve

Say = Callable[[str], None]


def train(recipe: Recipe, output: Path, *, data: Path, device: str, say: Say) -> Path:
    """Writes `<output>/<name>.safetensors` and a card beside it, and returns the card's path.

    data: folder of the recipe's JSONL files. Stages, curves and features are kept, so that the same call
    goes on after a kill and ends as an uninterrupted run would have: on a CPU to the last bit, on a GPU, where
    CTC adds up in no fixed order, but for rounding. Raises ValueError for data, a device or a number format
    other than a stage began with, and where another process is training into `output`.
    """
    if importlib.util.find_spec("peft") is None:
        raise ValueError("training needs peft: pip install 'evalkit-audio[train]'")
    output.mkdir(parents=True, exist_ok=True)
    with _alone(output):
        return _train(recipe, output, data, pick_device(device), say)


def _train(recipe: Recipe, output: Path, data: Path, device: torch.device, say: Say) -> Path:
    dtype = _faster_dtype(device)
    backbone = resolve("mini")
    model, tokenizer = llm.load_llm(backbone.llm, dtype, device)
    encoder_width = json.loads((backbone.whisper / "config.json").read_text(encoding="utf-8"))["d_model"]
    check_widths(recipe.name, recipe.projector, encoder_width, model.config.hidden_size)
    examples = read_examples(recipe.data, data, tokenizer, CHATML)
    audios = dict.fromkeys(audio for example in examples for audio in example.audios)
    contents = {audio: content_sha256(audio) for audio in audios}
    states = _states(examples, contents, backbone, dtype, device, say)
    torch.manual_seed(recipe.seed)
    projector = Projector(recipe.projector, llm.embedding_norm(model)).to(device)

    def run(stage: Stage, on: Sequence[Example]) -> None:
        origin = f"{device.type} {dtype} {_digest(on, contents)}"
        run_stage(replace(stage, made_by=f"{stage.made_by} {origin}"), recipe, output, say)

    speech = [e for e in examples if recipe.data[e.source].align]
    head = _head(speech, model).to(device)
    run(align_stage(recipe, examples, states, projector, head), speech)
    named = [e for e in examples if recipe.data[e.source].extend]
    wider = _head([*speech, *named], model).to(device)
    wider.load_state_dict(head.state_dict())
    run(extend_stage(recipe, examples, states, projector, wider), [*speech, *named])
    add_lora(model, recipe.lora, recipe.seed)
    run(tune_stage(recipe, examples, states, projector, model), examples)
    write_weights(output / f"{recipe.name}.safetensors", projector.state_dict(), lora_state(model))
    made = {
        "torch": str(torch.__version__),
        "device": device.type,
        "dtype": str(dtype).removeprefix("torch."),
    }
    return _write_card(recipe, output, {"clips": len(examples), "data": _digest(examples, contents)}, made)


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    import filelock

    try:
        with filelock.FileLock(output / ".lock", timeout=0):
            yield
    except filelock.Timeout:
        raise ValueError(f"another process is training into {output}; choose another --output") from None


def _faster_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the machine multiplies it."""
    if device.type == "cpu":
        native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    else:
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float32


def _digest(examples: Sequence[Example], contents: Mapping[AudioRef, str]) -> str:
    """SHA-256 over what is asked, heard and answered, in order."""
    digest = hashlib.sha256()
    for one in examples:
        heard = [contents[audio] for audio in one.audios]
        digest.update(repr((one.source, one.segments, heard, one.answer, one.spoken)).encode())
    return digest.hexdigest()


def _head(examples: Sequence[Example], model: torch.nn.Module) -> CtcHead:
    embeddings: torch.nn.Embedding = model.get_input_embeddings()  # type: ignore[operator]
    return CtcHead(sorted({t for e in examples for t in e.spoken}), embeddings.weight.detach().cpu())


def _states(
    examples: list[Example],
    contents: Mapping[AudioRef, str],
    backbone: Backbone,
    dtype: torch.dtype,
    device: torch.device,
    say: Say,
) -> list[list[torch.Tensor]]:
    """Encoder states of every example's audios; a clip that several examples ask about is encoded once."""
    began = time.monotonic()

    def load() -> tuple[encoder.WhisperFeatures, torch.nn.Module]:
        features = encoder.WhisperFeatures(backbone.whisper)
        return features, encoder.load_encoder(backbone.whisper, dtype, device)

    parts: dict[int, dict[AudioRef, str]] = {}
    for example in examples:
        parts.setdefault(example.source, {}).update((audio, contents[audio]) for audio in example.audios)
    total = sum(map(len, parts.values()))
    found: dict[AudioRef, torch.Tensor] = {}
    before = 0
    for _, audios in sorted(parts.items()):

        def report(of_these: int, before: int = before, size: int = len(audios)) -> None:
            done, seconds = before + of_these, time.monotonic() - began
            if of_these == size or of_these % 2048 == 0:
                say(f"features {done}/{total}; {seconds / done * (total - done) / 60:.1f} min left")

        key = f"{backbone.fingerprint}/{dtype}"
        states = cached_states(cache_dir() / "features", audios, key, load, report)
        found.update(zip(audios, states, strict=True))
        before += len(audios)
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


def _write_card(recipe: Recipe, output: Path, of: Mapping[str, Any], made: Mapping[str, str]) -> Path:
    """of: what the training data were; made: by what, and on what."""
    decided = _decided(recipe)
    card = {
        "name": recipe.name,
        "loader": "audio_llm",
        "license": "Apache-2.0",
        "config": {
            "projector": decided["projector"],
            "lora": decided["lora"],
            "weights": f"{recipe.name}.safetensors",
            "training": {**of, **decided["training"], "made": dict(made)},
        },
    }
    path = output / f"{recipe.name}.yaml"
    partial = path.with_suffix(".partial")
    partial.write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    # The card says that training is over, so it comes whole or not at all.
    partial.replace(path)
    return path

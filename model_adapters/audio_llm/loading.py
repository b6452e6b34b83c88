"""From a card to a loaded audio LLM."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from evalkit.model import Card, LoadOptions, ModelInfo
from model_adapters.audio_llm import encoder, llm
from model_adapters.audio_llm.checkpoint import Weights, load_projector, read_weights
from model_adapters.audio_llm.config import LoraConfig, ProjectorConfig
from model_adapters.audio_llm.model import AudioLLM, Parts
from model_adapters.audio_llm.packed import pack_linears
from model_adapters.audio_llm.projector import count_parameters
from model_adapters.audio_llm.prompt import CHATML
from model_adapters.audio_llm.states import shared_cache
from model_adapters.backbone import resolve

# Raise it when a change of this code changes what a model answers.
CODE_VERSION = 2
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class AudioLLMConfig(BaseModel):
    """`config` of a card whose loader is `audio_llm`. `training` says how the weights were made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    projector: ProjectorConfig
    weights: str
    lora: LoraConfig | None = None
    chat_template: str | None = CHATML
    training: dict[str, Any] = {}


def read_config(card: Card) -> AudioLLMConfig:
    try:
        return AudioLLMConfig.model_validate(dict(card.config))
    except ValidationError as error:
        problems = "; ".join(f"config.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ValueError(f"the card {card.path.name} is not right: {problems}") from error


def load(card: Card, options: LoadOptions) -> AudioLLM:
    """Entry point `audio_llm` of the group `evalkit.models`."""
    known = info(card, options)
    config = read_config(card)
    device = torch.device(known.device)
    dtype = _DTYPES[known.dtype]
    weights = _weights(card, config)
    projector = load_projector(config.projector, weights.projector, config.weights).to(device)
    if bool(weights.lora) != (config.lora is not None):
        has, lacks = ("weights", "card") if weights.lora else ("card", "weights")
        raise ValueError(
            f"{card.name}: there is LoRA in the {has} but none in the {lacks} ({card.path.name})"
        )
    backbone = resolve(options.backbone)
    model, tokenizer = llm.load_llm(backbone.llm, dtype, device)
    audio_encoder: Any = encoder.load_encoder(backbone.whisper, dtype, device)
    check_widths(card.name, config.projector, audio_encoder.config.d_model, model.config.hidden_size)
    if config.lora is not None and _with_lora(card, options):
        llm.merge_lora(model, weights.lora, config.lora.scale)
    llm.pack(model)
    pack_linears(audio_encoder)
    parts = Parts(
        features=encoder.WhisperFeatures(backbone.whisper),
        encoder=audio_encoder,
        projector=projector,
        llm=model,
        tokenizer=tokenizer,
        chat_template=config.chat_template,
        states=shared_cache(f"{backbone.fingerprint} {known.dtype} {known.device}"),
    )
    return AudioLLM(parts, known)


def info(card: Card, options: LoadOptions) -> ModelInfo:
    """Entry point `audio_llm` of the group `evalkit.infos`: what is known without loading the backbone."""
    config = read_config(card)
    tuned = _with_lora(card, options)
    lora = config.lora.model_dump() if config.lora and tuned else None
    device = pick_device(options.device)
    weights = _weights(card, config)
    backbone = resolve(options.backbone)
    total, active = count_parameters(config.projector)
    rest = count_stored(backbone.whisper, "model.encoder.") + count_stored(backbone.llm, "")
    identity = {
        "code": CODE_VERSION,
        "backbone": backbone.fingerprint,
        "weights": weights.sha256,
        "projector": config.projector.model_dump(),
        "lora": lora,
        "chat_template": config.chat_template,
    }
    return ModelInfo(
        name=card.name,
        fingerprint=hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest(),
        device=str(device),
        dtype=str(pick_dtype(options.dtype, device)).removeprefix("torch."),
        parameters=total + rest,
        active_parameters=active + rest,
        sources={**backbone.sources, "weights": f"{Path(config.weights).name} sha256:{weights.sha256}"},
    )


def _weights(card: Card, config: AudioLLMConfig) -> Weights:
    return read_weights(_weights_file(card, config))


def _weights_file(card: Card, config: AudioLLMConfig) -> Path:
    """Raises ValueError for an arm that has to be trained first."""
    path = card.path.parent / config.weights
    recipe = card.config.get("training", {}).get("recipe")
    if recipe and not path.exists():
        raise ValueError(
            f"{card.name}: its weights are not included; `evalkit train {recipe}` makes them, "
            f"then give --model training/{card.name}/{card.name}.yaml"
        )
    return path


def _with_lora(card: Card, options: LoadOptions) -> bool:
    """Whether the LLM is the tuned one: `--model-args lora=off` leaves it as it was before training."""
    if not options.args or dict(options.args) == {"lora": "off"}:
        return not options.args
    given = ", ".join(f"{key}={value}" for key, value in sorted(options.args.items()))
    raise ValueError(f"{card.name} takes no --model-args but lora=off, and got {given}")


def count_stored(folder: Path, prefix: str) -> int:
    """Parameters in the safetensors files of `folder` whose names start so, from the headers alone."""
    from safetensors import safe_open

    count = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            count += sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    return count


def check_widths(name: str, projector: ProjectorConfig, encoder_width: int, llm_width: int) -> None:
    """Raises ValueError where the projector does not fit between the backbone's parts."""
    wanted = (projector.encoder_width, projector.llm_width)
    if wanted != (encoder_width, llm_width):
        raise ValueError(
            f"{name}: its projector joins an encoder of width {wanted[0]} to an LLM of width {wanted[1]}, "
            f"but this backbone has {encoder_width} and {llm_width}"
        )


def fetch(card: Card, options: LoadOptions) -> None:
    """Entry point `audio_llm` of the group `evalkit.fetchers`: everything that loading needs, in the cache."""
    _weights_file(card, read_config(card))
    resolve(options.backbone)


def pick_device(name: str) -> torch.device:
    """`auto` is the first GPU when there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"--device {name}: expected auto, cpu or cuda[:n]") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"--device {name}: this machine shows {torch.cuda.device_count()} CUDA devices")
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """`auto` is float32 on CPU, so that numbers do not depend on the machine, and bfloat16 on a GPU."""
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    if name not in _DTYPES:
        raise ValueError(f"--dtype {name}: expected auto or one of {', '.join(_DTYPES)}")
    return _DTYPES[name]

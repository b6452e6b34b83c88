"""The LoRA in a checkpoint, named as peft names it or as this project does."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from model_adapters.audio_llm.config import LoraConfig

_NAME = re.compile(r"(?P<module>.+)\.lora_(?P<half>[AB])(?:\.(?P<adapter>[^.]+))?\.weight")
_WRAPPED = "base_model.model."
# Settings of peft that change what the matrices mean; none of them can be merged as W + scale * B A.
_UNSUPPORTED = ("use_dora", "alpha_pattern", "rank_pattern", "fan_in_fan_out", "use_bdlora", "lora_bias")


def is_lora(key: str) -> bool:
    return _NAME.fullmatch(key) is not None


def take_lora(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`<LLM module>.lora_A.weight` and `.lora_B.weight`, named after the layers of the plain LLM.

    Raises ValueError for two adapters in one file, half a pair, or ranks that differ between layers.
    """
    found: dict[str, Tensor] = {}
    adapters: set[str] = set()
    for key, value in tensors.items():
        match = _NAME.fullmatch(key)
        if match is None:
            continue
        adapters.add(match["adapter"] or "default")
        found[f"{_layer(match['module'])}.lora_{match['half']}.weight"] = value
    if len(adapters) > 1:
        raise ValueError(
            f"the checkpoint holds several LoRA adapters ({', '.join(sorted(adapters))}); keep one"
        )
    for layer in sorted({key.rpartition(".lora_")[0] for key in found}):
        pair = [found.get(f"{layer}.lora_{half}.weight") for half in "AB"]
        if any(half is None or half.ndim != 2 for half in pair):
            raise ValueError(f"the LoRA of {layer} is not a pair of matrices lora_A and lora_B")
    ranks = {value.shape[0] if ".lora_A." in key else value.shape[1] for key, value in found.items()}
    if len(ranks) > 1:
        raise ValueError(
            f"the LoRA has the ranks {sorted(ranks)} in one checkpoint; one rank for all is supported"
        )
    return found


def lora_config(lora: Mapping[str, Tensor], alpha: float | None, source: Path) -> tuple[LoraConfig, str]:
    """(rank and alpha, where alpha was found). It is not in the weights, so it is never guessed."""
    rank = next(value.shape[0] for key, value in lora.items() if ".lora_A." in key)
    if alpha is not None:
        return LoraConfig(rank=rank, alpha=alpha), "the mapping file"
    path = source.parent / "adapter_config.json"
    if not path.is_file():
        raise ValueError(
            f"{source.name} holds a LoRA of rank {rank}, but its alpha is not in the weights: put peft's "
            "adapter_config.json beside it, or `lora_alpha: NUMBER` in a mapping file"
        )
    return LoraConfig(rank=rank, alpha=_peft_alpha(path, rank)), path.name


def _peft_alpha(path: Path, rank: int) -> float:
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from error
    alpha = config.get("lora_alpha") if isinstance(config, dict) else None
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 < alpha < math.inf:
        raise ValueError(f"{path.name} has no lora_alpha above zero")
    if config.get("r") != rank:
        raise ValueError(f"{path.name} says rank {config.get('r')}, the weights have rank {rank}")
    bad = [name for name in _UNSUPPORTED if config.get(name)]
    if bad:
        raise ValueError(
            f"{path.name} sets {', '.join(bad)}: only plain LoRA (W + alpha / rank * B A) can be imported"
        )
    # Rank-stabilised LoRA (Kalajdzievski, 2023) scales by alpha / sqrt(rank).
    return float(alpha) * math.sqrt(rank) if config.get("use_rslora") else float(alpha)


def _layer(module: str) -> str:
    """The layer's name in the plain LLM: without peft's wrapper and without what the LLM is a part of."""
    module = module.rpartition(_WRAPPED)[2]
    start = module.rfind("model.layers.")
    return module[start:] if start > 0 and module[start - 1] == "." else module

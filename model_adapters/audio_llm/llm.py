"""The language model: loading it, and merging LoRA into it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model_adapters.audio_llm.packed import PackedLinear, can_pack, pack_linears


class Fp32Head(nn.Module):
    """The output layer in fp32: on CPUs a tied 49,152-row head in bf16 is several times slower."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.float(), requires_grad=False)

    def forward(self, hidden: Tensor) -> Tensor:
        return nn.functional.linear(hidden.float(), self.weight)


def load_llm(folder: Path, dtype: torch.dtype, device: torch.device) -> tuple[Any, Any]:
    """(causal language model, its head in fp32 unless it has a bias, tokenizer), frozen.

    Raises ValueError for one that our loops would misread.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).requires_grad_(False).eval().to(device)
    problem = _problem(model)
    if problem:
        raise ValueError(
            f"the LLM {type(model).__name__} {problem}, and cannot be read here; name another LLM"
        )
    if model.lm_head.bias is None:
        model.lm_head = Fp32Head(model.lm_head.weight.detach())
    return model, AutoTokenizer.from_pretrained(folder)


@torch.inference_mode()
def _problem(model: Any) -> str:
    """Why the loops of `tree` and `decoding` would not read this LLM as it reads itself; "" if they would."""
    from transformers.cache_utils import DynamicLayer

    if not (hasattr(model, "model") and hasattr(model, "lm_head")):
        return "has no layers `model` and `lm_head`"
    tokens = torch.arange(4, device=model.device)[None]
    states: list[Tensor] = []
    hook = model.model.register_forward_hook(lambda module, given, out: states.append(out.last_hidden_state))
    read = model(tokens, use_cache=True)
    hook.remove()
    layers = getattr(read.get("past_key_values"), "layers", [])
    if not layers or any(type(layer) is not DynamicLayer for layer in layers):
        return "has layers that do not attend to the whole prompt"
    if not torch.allclose(model.lm_head(states[0]).float(), read.logits.float(), rtol=1e-3, atol=1e-3):
        return "changes the values of its output layer"
    return ""


def pack(model: Any) -> None:
    """Lay the weights out for this machine's kernels. To be called last: they can no longer be changed."""
    pack_linears(model)
    if isinstance(model.lm_head, Fp32Head) and can_pack(model.lm_head.weight):
        model.lm_head = PackedLinear(model.lm_head.weight, None)


def embedding_norm(model: Any) -> float:
    """Mean L2 norm of the token embeddings: the level at which the projector speaks."""
    return float(model.get_input_embeddings().weight.detach().float().norm(dim=-1).mean())


@torch.no_grad()
def merge_lora(model: nn.Module, weights: Mapping[str, Tensor], scale: float) -> None:
    """W += scale * B A for every `<module>.lora_A.weight` / `<module>.lora_B.weight` pair (Hu et al., 2021)."""
    names = {key.rpartition(".lora_")[0] for key in weights}
    modules = dict(model.named_modules())
    for name in sorted(names):
        target = getattr(modules.get(name), "weight", None)
        if target is None:
            raise ValueError(f"the LoRA weights name the layer {name!r}, which this LLM does not have")
        down, up = (weights.get(f"{name}.lora_{half}.weight") for half in "AB")
        if down is None or up is None:
            missing = "A" if down is None else "B"
            raise ValueError(f"the LoRA weights for {name!r} lack {name}.lora_{missing}.weight")
        if up.shape[1:] != down.shape[:1] or (*up.shape[:1], *down.shape[1:]) != target.shape:
            shapes = f"{list(up.shape)} x {list(down.shape)}"
            raise ValueError(
                f"LoRA for {name!r} has shape {shapes}, which does not give {list(target.shape)}"
            )
        merged = (scale * up.float() @ down.float()).to(target.device).add_(target)
        # Not into the weights' own memory: that is the file, and each page of it would be copied first.
        target.data = merged.to(target.dtype)

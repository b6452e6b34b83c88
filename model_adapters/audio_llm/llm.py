"""The language model: loading, LoRA merging, decoding and scoring over input embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from evalkit.model import GenerationSettings


class Fp32Head(nn.Module):
    """The output layer in fp32: on CPUs a tied 49,152-row head in bf16 is several times slower."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.float(), requires_grad=False)

    def forward(self, hidden: Tensor) -> Tensor:
        return nn.functional.linear(hidden.float(), self.weight)


def load_llm(folder: Path, dtype: torch.dtype, device: torch.device) -> tuple[Any, Any]:
    """(causal language model with an fp32 head, tokenizer), frozen."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    model.lm_head = Fp32Head(model.get_input_embeddings().weight.detach())
    return model.requires_grad_(False).eval().to(device), tokenizer


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
        delta = scale * up.float() @ down.float()
        target.copy_((target.float() + delta.to(target.device)).to(target.dtype))


def pad(sequences: Sequence[Tensor], *, left: bool, multiple: int = 1) -> tuple[Tensor, Tensor]:
    """Embeddings [n_i, d] -> (batch [b, n, d], attention mask [b, n]), n the longest rounded up to `multiple`."""
    longest = -(-max(len(s) for s in sequences) // multiple) * multiple
    batch = sequences[0].new_zeros(len(sequences), longest, sequences[0].shape[1])
    mask = torch.zeros(len(sequences), longest, dtype=torch.long, device=batch.device)
    for row, sequence in enumerate(sequences):
        place = slice(longest - len(sequence), longest) if left else slice(0, len(sequence))
        batch[row, place] = sequence
        mask[row, place] = 1
    return batch, mask


@torch.inference_mode()
def decode(
    model: Any, prompts: Sequence[Tensor], settings: GenerationSettings, stop_tokens: Sequence[int]
) -> list[list[int]]:
    """New tokens for each prompt [n_i, d], without the stop token; a prompt that was cut has the full count."""
    batch, mask = pad(prompts, left=True)
    sampling: dict[str, Any] = {"do_sample": False}
    if settings.do_sample:
        torch.manual_seed(settings.seed)
        sampling = {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p}
    tokens = model.generate(
        inputs_embeds=batch,
        attention_mask=mask,
        max_new_tokens=settings.max_new_tokens,
        eos_token_id=list(stop_tokens),
        pad_token_id=stop_tokens[0],
        **sampling,
    )
    return [_until(row, stop_tokens) for row in tokens.tolist()]


def _until(tokens: list[int], stop_tokens: Sequence[int]) -> list[int]:
    for position, token in enumerate(tokens):
        if token in stop_tokens:
            return tokens[:position]
    return tokens


@torch.inference_mode()
def continuation_logprobs(model: Any, prompts: Sequence[Tensor], continuations: Sequence[Tensor]) -> Tensor:
    """Summed log-likelihood (nats) of each continuation (token ids [m_i]) after its prompt [n_i, d]."""
    embed = model.get_input_embeddings()
    joined = [torch.cat([p, embed(c).to(p.dtype)]) for p, c in zip(prompts, continuations, strict=True)]
    batch, mask = pad(joined, left=False)
    hidden = model.model(inputs_embeds=batch, attention_mask=mask).last_hidden_state
    sums = []
    for row, (prompt, tokens) in enumerate(zip(prompts, continuations, strict=True)):
        start = len(prompt) - 1
        logits = model.lm_head(hidden[row, start : start + len(tokens)])
        sums.append(logits.log_softmax(-1).gather(1, tokens[:, None]).sum())
    return torch.stack(sums)

"""Tuning stage: next-token loss on the answers, through the LLM, for projector and LoRA together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.utils.parametrize
from torch import Tensor, nn

from model_adapters.audio_llm.attention import one_after_the_other
from model_adapters.audio_llm.config import LoraConfig
from model_adapters.audio_llm.projector import Projected, Projector
from model_adapters.audio_llm.training.conflict import conflict_columns, family_conflict
from model_adapters.audio_llm.training.data import Example, mixture, projector_input, thin_out
from model_adapters.audio_llm.training.loop import Group, Loss, Stage
from model_adapters.audio_llm.training.recipe import Recipe


class _Cast(nn.Module):
    """A weight in the number format of its layer, while the trained one keeps full precision."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

    def forward(self, weight: Tensor) -> Tensor:
        return weight.to(self._dtype)


def add_lora(llm: Any, config: LoraConfig, seed: int) -> None:
    """Trainable low-rank adapters on every linear layer of the LLM's blocks: kept in fp32, multiplied in the
    LLM's own format.
    """
    from peft import LoraConfig as PeftConfig
    from peft import inject_adapter_in_model

    torch.manual_seed(seed)
    layers = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    inject_adapter_in_model(
        PeftConfig(r=config.rank, lora_alpha=config.alpha, target_modules=layers, bias="none"), llm
    )
    dtype = llm.get_input_embeddings().weight.dtype
    for name, module in list(llm.named_modules()):
        if "lora_" in name and isinstance(module, nn.Linear):
            module.weight.data = module.weight.data.float()
            nn.utils.parametrize.register_parametrization(module, "weight", _Cast(dtype), unsafe=True)
    for name, parameter in llm.named_parameters():
        parameter.requires_grad_("lora_" in name)


def lora_state(llm: nn.Module) -> dict[str, Tensor]:
    """`<module>.lora_A.weight` and `.lora_B.weight`, named after the layers of the plain LLM."""
    return {
        name.replace(".default.", ".").replace(".parametrizations.weight.original", ".weight"): p.detach()
        for name, p in llm.named_parameters()
        if "lora_" in name
    }


def tune_stage(
    recipe: Recipe,
    examples: Sequence[Example],
    states: Sequence[Sequence[Tensor]],
    projector: Projector,
    llm: Any,
) -> Stage:
    """Batches mix the tasks by the sources' shares. states: of every example, those of its audios."""
    settings = recipe.tune
    batches = mixture(recipe.data, examples, [source.share for source in recipe.data])
    absent: dict[str, float | None] = dict.fromkeys(
        [
            *(f"loss_{task}" for task in sorted({e.task for e in examples})),
            *conflict_columns(e.family for e in examples),
        ]
    )

    def loss(step: int) -> Loss:
        chosen = batches.draw(settings.batch_size, f"{recipe.seed}/tune/{step}")
        batch = [examples[i] for i in chosen]
        frames = projector_input(recipe, [s for i in chosen for s in states[i]], f"tune/{step}")
        if settings.least_kept < 1:
            speech = [recipe.data[e.source].align for e in batch for _ in e.audios]
            thinned = thin_out(frames, settings.least_kept, recipe.seed, f"thin/{step}")
            frames = [f if s else t for f, t, s in zip(frames, thinned, speech, strict=True)]
        per_token, rows, projected = answer_losses(llm, projector, batch, frames)
        balance = projected.balance_loss
        mean = per_token.mean()
        curves = {"loss": float(mean.detach()), "balance": float(balance.detach())} | projected.load
        found = _per_task(per_token.detach(), rows, batch)
        if step % recipe.save_every == 0:
            lengths = _lengths(batch, [len(f) for f in frames])
            families = [e.family for e in batch]
            found |= family_conflict(
                per_token, rows, families, projected.embeddings, lengths, projector.parameters()
            )
        return Loss(mean + recipe.balance_weight * balance, curves | absent | found)

    adapters = [p for p in llm.parameters() if p.requires_grad]
    groups = [
        Group(list(projector.parameters()), settings.projector_learning_rate),
        Group(adapters, settings.lora_learning_rate),
    ]
    return Stage(
        "tune", recipe.model_dump_json(), settings.steps, groups, {"projector": projector, "llm": llm}, loss
    )


def answer_losses(
    llm: Any, projector: Projector, batch: Sequence[Example], frames: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Projected]:
    """Cross-entropy of every answer token [m], the row of the batch it belongs to [m], and the projection.

    frames: stacked encoder states [tokens, d * stack] of every clip, row after row.
    """
    embed = llm.get_input_embeddings()
    device = embed.weight.device
    projected = projector(torch.cat(list(frames)).to(device))
    clips = iter(projected.embeddings.split([len(f) for f in frames]))
    joined = []
    for example in batch:
        audios = [next(clips).to(embed.weight.dtype) for _ in example.audios]
        parts = [
            embed(_ids(s.tokens, device)) if s.audio is None else audios[s.audio] for s in example.segments
        ]
        joined.append(torch.cat([*parts, embed(_ids(example.answer, device))]))
    lengths = tuple(len(sequence) for sequence in joined)
    places = torch.cat([torch.arange(n, device=device) for n in lengths])
    with one_after_the_other(llm):
        read = llm.model(
            inputs_embeds=torch.cat(joined)[None],
            position_ids=places[None],
            use_cache=False,
            lengths=lengths,
        )
    # An answer token is foretold by the one before it.
    foretelling = [
        part[-len(e.answer) - 1 : -1]
        for part, e in zip(read.last_hidden_state[0].split(lengths), batch, strict=True)
    ]
    answers = _ids([token for example in batch for token in example.answer], device)
    losses = nn.functional.cross_entropy(llm.lm_head(torch.cat(foretelling)), answers, reduction="none")
    rows = torch.arange(len(batch)).repeat_interleave(torch.tensor([len(e.answer) for e in batch]))
    return losses, rows.to(device), projected


def _ids(tokens: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor(tokens, device=device, dtype=torch.long)


def _per_task(losses: Tensor, rows: Tensor, batch: Sequence[Example]) -> dict[str, float]:
    members: dict[str, list[int]] = defaultdict(list)
    for row, example in enumerate(batch):
        members[example.task].append(row)
    wanted = {
        task: torch.isin(rows, torch.tensor(found, device=rows.device)) for task, found in members.items()
    }
    return {f"loss_{task}": float(losses[mask].mean()) for task, mask in wanted.items()}


def _lengths(batch: Sequence[Example], clips: Sequence[int]) -> list[int]:
    """Projected tokens of every row, from those of every clip."""
    left = iter(clips)
    return [sum(next(left) for _ in example.audios) for example in batch]

"""Alignment stage: CTC (Graves et al., 2006) with the LLM's own token embeddings as the output layer.

Next-token training from scratch teaches a projector the LLM's prior before it teaches it to listen;
aligned first, it already speaks the LLM's vocabulary. Clips that are no speech name what is to be heard
in them: the same output layer on the mean over all frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from model_adapters.audio_llm.projector import Projected, Projector
from model_adapters.audio_llm.training.data import Example, mixture, projector_input
from model_adapters.audio_llm.training.loop import Group, Loss, Stage
from model_adapters.audio_llm.training.recipe import AlignStage, Recipe


class CtcHead(nn.Module):
    """Cosine similarity to the embeddings of the tokens that occur in training, and a learned blank."""

    table: Tensor

    def __init__(self, vocabulary: Sequence[int], embeddings: Tensor) -> None:
        super().__init__()
        self.index = {token: place + 1 for place, token in enumerate(vocabulary)}
        table = nn.functional.normalize(embeddings[list(vocabulary)].float(), dim=-1)
        self.register_buffer("table", table, persistent=False)
        generator = torch.Generator().manual_seed(0)
        self.blank = nn.Parameter(torch.randn(1, embeddings.shape[1], generator=generator) * 0.05)
        self.scale = nn.Parameter(torch.tensor(20.0))

    def forward(self, embeddings: Tensor) -> Tensor:
        """[tokens, d_llm] -> scores [tokens, 1 + vocabulary], the blank first."""
        spoken = self.scale.abs() * nn.functional.normalize(embeddings, dim=-1)
        # Apart, because only the blank is trained: joined, the whole table would get a gradient.
        blank = spoken @ nn.functional.normalize(self.blank, dim=-1).T
        scores = torch.cat([blank, spoken @ self.table.T], dim=1)
        return scores


def ctc_loss(
    head: CtcHead, projected: Projected, lengths: Sequence[int], targets: Sequence[Tensor]
) -> Tensor:
    """Mean CTC loss over the clips whose frames are `projected`, one after the other.

    CTC's backward pass costs time in proportion to the alphabet, so all symbols that do not occur in the
    batch's targets are summed into one first. The loss and its gradient stay what they were.
    """
    alphabet = torch.unique(torch.cat([*targets, targets[0].new_zeros(1)]))
    scores = _merge_unused(head(projected.embeddings), alphabet)
    padded = nn.utils.rnn.pad_sequence(list(torch.split(scores.log_softmax(-1), list(lengths))))
    return nn.functional.ctc_loss(
        padded,
        torch.searchsorted(alphabet, torch.cat(list(targets))),
        torch.tensor(lengths),
        torch.tensor([len(t) for t in targets]),
        zero_infinity=True,
    )


def naming_loss(
    head: CtcHead, projected: Projected, lengths: Sequence[int], targets: Sequence[Tensor]
) -> Tensor:
    """Mean over the clips of -log p(word), averaged over the clip's words, whatever their order.

    p is a softmax over the vocabulary of the scores' mean over the clip's frames. CTC would be content
    with one frame that gives a training clip away; the mean has to be right about the whole clip.
    """
    clips = torch.split(nn.functional.normalize(projected.embeddings, dim=-1), list(lengths))
    pooled = torch.stack([clip.mean(0) for clip in clips])
    likely = (head.scale.abs() * pooled @ head.table.T).log_softmax(-1)
    words = [row[torch.unique(target) - 1] for row, target in zip(likely, targets, strict=True)]
    return -torch.stack([word.mean() for word in words]).mean()


class _MergeUnused(torch.autograd.Function):
    """Joins the columns that are not used by log-sum-exp; its gradient is written in one pass over them."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, used: Tensor) -> Tensor:
        rest = scores.index_fill(1, used, -torch.inf)
        others = rest.logsumexp(1, keepdim=True)
        ctx.save_for_backward(rest.sub_(others).exp_(), used)
        return torch.cat([scores[:, used], others], dim=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        shares, used = ctx.saved_tensors
        return (shares * gradient[:, -1:]).index_copy_(1, used, gradient[:, :-1]), None


def _merge_unused(scores: Tensor, used: Tensor) -> Tensor:
    """[tokens, symbols] -> [tokens, used + 1]: the last column is the log-sum-exp of all that are not used."""
    if len(used) == scores.shape[1]:
        return scores
    merged: Tensor = _MergeUnused.apply(scores, used)  # type: ignore[no-untyped-call]
    return merged


def align_stage(
    recipe: Recipe,
    examples: Sequence[Example],
    states: Sequence[Sequence[Tensor]],
    projector: Projector,
    head: CtcHead,
) -> Stage:
    """Batches are drawn by the sources' shares, from the sources that take part in alignment.

    states: of every example, the encoder states of its audios; of several, the first is aligned.
    """
    shares = [source.share if source.align else 0.0 for source in recipe.data]
    loss = _step("align", recipe, recipe.align.batch_size, shares, examples, states, projector, head)
    return _stage("align", recipe.aligned_by, recipe.align, projector, head, loss)


def extend_stage(
    recipe: Recipe,
    examples: Sequence[Example],
    states: Sequence[Sequence[Tensor]],
    projector: Projector,
    head: CtcHead,
) -> Stage:
    """Alignment goes on with the sources that have an `extend` share, and those that do not take part in
    alignment name what is heard; arguments as for `align_stage`.
    """
    shares = [source.extend for source in recipe.data]
    loss = _step("extend", recipe, recipe.extend.batch_size, shares, examples, states, projector, head)
    return _stage("extend", recipe.extended_by, recipe.extend, projector, head, loss)


def _step(
    name: str,
    recipe: Recipe,
    batch_size: int,
    shares: Sequence[float],
    examples: Sequence[Example],
    states: Sequence[Sequence[Tensor]],
    projector: Projector,
    head: CtcHead,
) -> Callable[[int], Loss]:
    batches = mixture(recipe.data, examples, shares)
    device = next(projector.parameters()).device

    def loss(step: int) -> Loss:
        chosen = batches.draw(batch_size, f"{recipe.seed}/{name}/{step}")
        # Speech first, so that each kind of clip is one stretch of the projector's output.
        chosen.sort(key=lambda i: not recipe.data[examples[i].source].align)
        spoken = sum(recipe.data[examples[i].source].align for i in chosen)
        frames = projector_input(recipe, [states[i][0] for i in chosen], f"{name}/{step}")
        targets = [torch.tensor([head.index[t] for t in examples[i].spoken]).to(device) for i in chosen]
        projected = projector(torch.cat(frames).to(device))
        ctc, naming = _losses(head, projected, [len(f) for f in frames], targets, spoken)
        balance = projected.balance_loss
        total = (spoken * ctc + (batch_size - spoken) * naming) / batch_size
        curves: dict[str, float | None] = {"loss": float(total.detach())}
        curves |= {"loss_ctc": float(ctc.detach()) if spoken else None}
        curves |= {"loss_naming": float(naming.detach()) if spoken < batch_size else None}
        curves |= {"balance": float(balance.detach())}
        return Loss(total + recipe.balance_weight * balance, curves | projected.load)

    return loss


def _losses(
    head: CtcHead, projected: Projected, lengths: Sequence[int], targets: Sequence[Tensor], spoken: int
) -> tuple[Tensor, Tensor]:
    """CTC of the first `spoken` clips and naming of the others; zero where there are none."""
    frames = sum(lengths[:spoken])
    speech = replace(projected, embeddings=projected.embeddings[:frames])
    others = replace(projected, embeddings=projected.embeddings[frames:])
    zero = projected.embeddings.new_zeros(())
    ctc = ctc_loss(head, speech, lengths[:spoken], targets[:spoken]) if spoken else zero
    naming = naming_loss(head, others, lengths[spoken:], targets[spoken:]) if spoken < len(lengths) else zero
    return ctc, naming


def _stage(
    name: str,
    made_by: str,
    settings: AlignStage,
    projector: Projector,
    head: CtcHead,
    loss: Callable[[int], Loss],
) -> Stage:
    groups = [Group([*projector.parameters(), *head.parameters()], settings.learning_rate)]
    return Stage(name, made_by, settings.steps, groups, {"projector": projector, "head": head}, loss)

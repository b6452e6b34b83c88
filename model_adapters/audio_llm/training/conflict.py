"""Gradient conflict: do the families of tasks pull the shared projector in opposite directions?

The cosine between two tasks' gradients of shared parameters (Yu et al., "Gradient Surgery for Multi-Task
Learning", NeurIPS 2020, section 2.2): below zero they conflict, near zero they go past each other, above
zero they agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn


def conflict_columns(families: Iterable[str]) -> tuple[str, ...]:
    """Names of the curves of all pairs of different families: `conflict_<a>_<b>`, a before b."""
    return tuple(f"conflict_{a}_{b}" for a, b in combinations(sorted(set(families)), 2))


def family_conflict(
    losses: Tensor,
    rows: Tensor,
    families: Sequence[str],
    embeddings: Tensor,
    lengths: Sequence[int],
    parameters: Iterable[nn.Parameter],
) -> dict[str, float]:
    """Cosine between the families' gradients of their mean loss with respect to `parameters`, by column name.

    losses: cross-entropy of every answer token [m]; rows: the batch row each belongs to [m]; families: of
    every row; embeddings: the projector's output [tokens, d_llm], row after row; lengths: projected tokens
    of every row, all its clips together; parameters: the projector's. Families that the batch lacks, or
    whose gradient is zero, have no column. The graph is kept, so the step can go backward after this;
    `.grad` is not touched.

    One pass back through the LLM serves all families: a row's loss reaches its own embeddings alone, so
    each family's gradient is the projector's share of the pass from that family's embeddings.
    """
    weights = list(parameters)
    mine = {family: torch.tensor([f == family for f in families]) for family in sorted(set(families))}
    total = torch.stack([losses[_of(rows, m)].mean() for m in mine.values()]).sum()
    (at_output,) = torch.autograd.grad(total, embeddings, retain_graph=True)
    owner = torch.arange(len(families)).repeat_interleave(torch.tensor(list(lengths)))
    gradients = {}
    for family, members in mine.items():
        part = at_output * members[owner].to(at_output.device)[:, None]
        gradients[family] = _flat(
            torch.autograd.grad(embeddings, weights, part, retain_graph=True, allow_unused=True), weights
        )
    found = {f"conflict_{a}_{b}": _cosine(gradients[a], gradients[b]) for a, b in combinations(gradients, 2)}
    return {column: cosine for column, cosine in found.items() if math.isfinite(cosine)}


def _of(rows: Tensor, members: Tensor) -> Tensor:
    """Which answer tokens belong to the member rows, [m]."""
    return members.to(rows.device)[rows]


def _flat(gradients: Iterable[Tensor | None], weights: Sequence[Tensor]) -> Tensor:
    """One vector; zeros where a parameter has no part in it, as an expert that was not chosen."""
    pairs = zip(gradients, weights, strict=True)
    return torch.cat([(torch.zeros_like(w) if g is None else g).flatten() for g, w in pairs]).double()


def _cosine(a: Tensor, b: Tensor) -> float:
    norms = float(a.norm() * b.norm())
    return float(a @ b) / norms if norms else math.nan

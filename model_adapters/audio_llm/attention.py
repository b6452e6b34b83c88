"""Causal attention over sequences that lie one after the other in a single row, so that nothing is padded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_NAME = "one_after_the_other"


@contextmanager
def one_after_the_other(llm: Any) -> Iterator[None]:
    """For the while, `llm.model` reads a row [1, n, d] of several sequences: `lengths` says how long each is,
    and `position_ids` start anew in each.
    """
    from transformers import AttentionInterface

    AttentionInterface.register(_NAME, _attend)
    before = llm.config._attn_implementation
    llm.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        llm.set_attn_implementation(before)


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    lengths: tuple[int, ...],
    **_: Any,
) -> tuple[Tensor, None]:
    """query [1, heads, n, d], key and value [1, key heads, n, d] -> [1, n, heads, d], each sequence by itself."""
    heads, groups = query.shape[1], module.num_key_value_groups
    answers = []
    parts = (torch.split(states[0], list(lengths), 1) for states in (query, key, value))
    for q, k, v in zip(*parts, strict=True):
        # The heads that share a key are rows of one product, so keys need not be repeated.
        n = q.shape[1]
        scores = q.reshape(heads // groups, groups * n, -1) @ k.transpose(1, 2)
        later = torch.ones(n, n, dtype=torch.bool, device=q.device).triu(1)
        scores = (scores.float() * scaling).view(-1, groups, n, n).masked_fill(later, -torch.inf)
        shares = nn.functional.softmax(scores, dim=-1).to(v.dtype)
        answers.append((shares.view(-1, groups * n, n) @ v).view(heads, n, -1))
    return torch.cat(answers, dim=1).transpose(0, 1)[None], None

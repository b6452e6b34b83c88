"""What the projector does with audio, read out beside the forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evalkit.inside import Projection, Routing
from model_adapters.audio_llm import moe
from model_adapters.audio_llm.projector import Projector


@torch.inference_mode()
def projections(projector: Projector, items: Sequence[Tensor]) -> list[Projection]:
    """items: stacked frames [tokens_i, stack * d] of each. All go through the projector together."""
    lengths = [len(frames) for frames in items]
    projected = projector(torch.cat(list(items)))
    embeddings = _numpy(projected.embeddings).astype(np.float32, copy=False)
    parts = np.split(embeddings, np.cumsum(lengths)[:-1])
    if projected.routing is None:
        return [Projection(part) for part in parts]
    routings = _routings(projected.routing, lengths)
    return [Projection(part, (routing,)) for part, routing in zip(parts, routings, strict=True)]


@torch.inference_mode()
def expert_outputs(projector: Projector, items: Sequence[Tensor]) -> list[tuple[NDArray[np.float32], ...]]:
    """[tokens, experts, m] of each item: every expert on every token, the shared ones last.

    Raises ValueError for a dense projector.
    """
    core = moe_core(projector)
    banks = [core.experts, *([core.shared] if core.shared is not None else [])]
    found: list[tuple[NDArray[np.float32], ...]] = []
    for frames in items:
        x = projector.norm_in(frames)
        outputs = [bank.one(index, x) for bank in banks for index in range(bank.up.shape[0])]
        found.append((_numpy(torch.stack(outputs, dim=1)).astype(np.float32, copy=False),))
    return found


def moe_core(projector: Projector) -> moe.MoECore:
    """Raises ValueError for a projector without routed experts."""
    if not isinstance(projector.core, moe.MoECore):
        raise ValueError(f"a {projector.config.kind} projector has no routed experts")
    return projector.core


def _routings(routing: moe.Routing, lengths: Sequence[int]) -> Iterator[Routing]:
    ends = np.cumsum(lengths)[:-1]
    whole = (routing.probabilities.float(), routing.experts, routing.gates.float())
    for probabilities, experts, gates in zip(*(np.split(_numpy(t), ends) for t in whole), strict=True):
        yield Routing(probabilities, experts, gates)


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.float().cpu().numpy() if tensor.is_floating_point() else tensor.cpu().numpy()

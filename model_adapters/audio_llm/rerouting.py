"""The same projector with another routing, for ablation. Weights are shared, not copied."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch
from torch import Tensor, nn

from evalkit.inside import Rerouting
from evalkit.model import ModelInfo
from model_adapters.audio_llm.moe import MoECore, Routing, route
from model_adapters.audio_llm.projector import Projector
from model_adapters.audio_llm.readout import moe_core


class ReroutedCore(nn.Module):
    """`core` with its routing changed."""

    def __init__(self, core: MoECore, change: Rerouting) -> None:
        super().__init__()
        self.core = core
        self.change = change

    def forward(self, x: Tensor) -> tuple[Tensor, Routing]:
        """[tokens, d] -> [tokens, d_llm] and where the tokens went."""
        routing = changed(self.core.logits(x), self.core.top_k, self.change)
        mixed = self.core.mixed(x, routing)
        if self.core.shared is not None and not self.change.without_shared:
            for index in range(self.core.shared.up.shape[0]):
                mixed = mixed + self.core.shared.one(index, x)
        return self.core.out(mixed), routing


def changed(logits: Tensor, top_k: int, change: Rerouting) -> Routing:
    """The routing of these logits [tokens, experts] after the change."""
    count = logits.shape[-1]
    if change.forced == "even":
        every = torch.arange(count, device=logits.device).expand(len(logits), count)
        return Routing(logits, every, torch.full_like(logits, 1 / count))
    if change.forced == "shifted":
        return route(logits.roll(1, dims=-1), top_k)
    if change.off:
        logits = logits.clone()
        logits[:, list(change.off)] = -torch.inf
    return route(logits, top_k)


def rerouted(projector: Projector, change: Rerouting) -> Projector:
    """Raises ValueError for a dense projector, an expert that does not exist, or too few that are left."""
    core = moe_core(projector)
    config = projector.config
    unknown = [expert for expert in change.off if not 0 <= expert < config.num_experts]
    if unknown:
        raise ValueError(f"there is no expert {unknown[0]}: they are 0 to {config.num_experts - 1}")
    if config.num_experts - len(set(change.off)) < config.top_k:
        raise ValueError(f"{config.top_k} experts a token are needed, but {len(set(change.off))} are off")
    if change.without_shared and core.shared is None:
        raise ValueError("this projector has no shared expert that could be switched off")
    with torch.device("meta"):
        other = Projector(config)
    other.norm_in, other.norm_out = projector.norm_in, projector.norm_out
    other.core = ReroutedCore(core, change)
    return other.eval()


def renamed(info: ModelInfo, change: Rerouting) -> ModelInfo:
    """A name and fingerprint of its own, since it answers otherwise."""
    parts = [f"without-{expert}" for expert in change.off]
    parts += ["without-shared"] if change.without_shared else []
    parts += [change.forced] if change.forced else []
    name = "-".join([info.name, *parts])
    identity = f"{info.fingerprint} {change}"
    return replace(info, name=name, fingerprint=hashlib.sha256(identity.encode()).hexdigest())

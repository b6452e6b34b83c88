"""The projector: encoder frames in, LLM embeddings out. Every arm shares all but its core."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model_adapters.audio_llm.config import ProjectorConfig
from model_adapters.audio_llm.dense import DenseCore, linear_core
from model_adapters.audio_llm.moe import MoECore, Routing, balance_loss


@dataclass(frozen=True, slots=True)
class Projected:
    """embeddings: [tokens, d_llm]; routing: None for the dense arms."""

    embeddings: Tensor
    routing: Routing | None

    @property
    def balance_loss(self) -> Tensor:
        """Scalar; zero for the dense arms."""
        if self.routing is None:
            return self.embeddings.new_zeros(())
        return balance_loss(self.routing)

    @property
    def load(self) -> dict[str, float]:
        """Share of the routed slots by expert, as named curves; empty for the dense arms."""
        if self.routing is None:
            return {}
        return {f"load_{expert}": share for expert, share in enumerate(self.routing.load.tolist())}


class Projector(nn.Module):
    """LayerNorm -> core -> RMSNorm scaled to the norm of the LLM's own token embeddings.

    The first norm takes away level differences of the stacked frames, the last one
    puts every arm's output where the LLM expects its input, so that only the core differs.
    """

    def __init__(self, config: ProjectorConfig, embedding_norm: float = 1.0) -> None:
        super().__init__()
        self.config = config
        self.norm_in = nn.LayerNorm(config.input_width) if config.input_norm else nn.Identity()
        cores = {"linear": linear_core, "dense": DenseCore, "moe": MoECore}
        self.core = cores[config.kind](config)
        self.norm_out = _output_norm(config, embedding_norm) if config.output_norm else nn.Identity()

    def forward(self, frames: Tensor) -> Projected:
        """Stacked frames [tokens, stack * d] -> embeddings [tokens, d_llm]."""
        out = self.core(self.norm_in(frames))
        mixed, routing = out if isinstance(out, tuple) else (out, None)
        return Projected(self.norm_out(mixed), routing)


def _output_norm(config: ProjectorConfig, embedding_norm: float) -> nn.Module:
    norm = nn.RMSNorm(config.llm_width, eps=1e-6)
    nn.init.constant_(norm.weight, embedding_norm / config.llm_width**0.5)
    return norm


def stack_frames(frames: Tensor, stack: int) -> Tensor:
    """[frames, d] -> [ceil(frames / stack), stack * d]; the last token is filled up with zeros."""
    missing = -frames.shape[0] % stack
    if missing:
        frames = torch.cat([frames, frames.new_zeros(missing, frames.shape[1])])
    return frames.reshape(-1, stack * frames.shape[1])


def count_parameters(config: ProjectorConfig) -> tuple[int, int]:
    """(all parameters, parameters that one token passes through)."""
    with torch.device("meta"):
        projector = Projector(config)
    total = sum(p.numel() for p in projector.parameters())
    if not isinstance(projector.core, MoECore):
        return total, total
    per_expert = sum(p.numel() for p in projector.core.experts.parameters()) // config.num_experts
    return total, total - (config.num_experts - config.top_k) * per_expert

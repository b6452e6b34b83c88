"""The dense projectors: one linear layer, or two with SiLU between them."""

from __future__ import annotations

from torch import Tensor, nn

from model_adapters.audio_llm.config import ProjectorConfig


def linear_core(config: ProjectorConfig) -> nn.Module:
    """Linear(d, d_llm)."""
    return nn.Linear(config.input_width, config.llm_width)


class DenseCore(nn.Module):
    """Linear(d, h) -> SiLU -> Linear(h, d_llm), with d the width of the stacked frames."""

    def __init__(self, config: ProjectorConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.input_width, config.hidden_width)
        self.down = nn.Linear(config.hidden_width, config.llm_width)

    def forward(self, x: Tensor) -> Tensor:
        """[tokens, d] -> [tokens, d_llm]."""
        out: Tensor = self.down(nn.functional.silu(self.up(x)))
        return out

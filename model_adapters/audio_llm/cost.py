"""What one pass through the projector costs: parameters, operations by formula, and a pass to time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from evalkit.inside import ProjectorCost
from model_adapters.audio_llm.config import ProjectorConfig
from model_adapters.audio_llm.encoder import RATE, SAMPLES_PER_FRAME
from model_adapters.audio_llm.projector import Projector, count_parameters

# Lei et al., "MoE Adapter for Large Audio Language Models" (arXiv 2601.02967): encoder frames 1280 wide, four
# of them to a token of 5120, and an LLM 2048 wide.
_PAPER = {"encoder_width": 1280, "stack": 4, "llm_width": 2048}


def flops(config: ProjectorConfig) -> int:
    """Operations of the matrix products for one token, a multiplication and an addition being two.

    linear: 2 d l; dense: 2 d h + 2 h l; MoE with k of E experts and s shared ones:
    2 d E + (k + s)(2 d e + 2 e m) + 2 E m + 2 m l, of which 2 E m mixes the experts' biases. Norms,
    activations and sorting are left out, as they are by `torch.utils.flop_counter`.
    """
    d, out = config.input_width, config.llm_width
    if config.kind == "linear":
        return 2 * d * out
    if config.kind == "dense":
        return 2 * config.hidden_width * (d + out)
    expert = 2 * config.expert_width * (d + config.moe_width)
    used = config.top_k + config.num_shared_experts
    mixing = 2 * config.num_experts * (d + config.moe_width)
    return mixing + used * expert + 2 * config.moe_width * out


def projector_cost(config: ProjectorConfig) -> ProjectorCost:
    total, active = count_parameters(config)
    return ProjectorCost(
        kind=config.kind,
        parameters=total,
        active_parameters=active,
        flops=flops(config),
        widths=(config.input_width, config.llm_width),
        tokens_per_second=RATE / SAMPLES_PER_FRAME / config.stack,
    )


def paper_scale(config: ProjectorConfig) -> ProjectorConfig:
    """The projector at the paper's widths, its inner ones grown as its input is, so that the arms keep
    their proportions."""
    grown = _PAPER["encoder_width"] * _PAPER["stack"] / config.input_width
    inner = ("hidden_width", "expert_width", "moe_width")
    widths = {name: round(getattr(config, name) * grown) for name in inner}
    return config.model_copy(update=_PAPER | widths)


@lru_cache(maxsize=4)
def _random_frames(tokens: int, width: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Made once, so that making them is not timed."""
    generator = torch.Generator().manual_seed(tokens)
    return torch.randn(tokens, width, generator=generator).to(device, dtype)


@dataclass(frozen=True, slots=True)
class LoneProjector:
    """A projector to run over random frames."""

    projector: Projector

    def projector_cost(self) -> ProjectorCost:
        return projector_cost(self.projector.config)

    def run_projector(self, tokens: int) -> None:
        """One pass over `tokens` random frames; returns when the device is done."""
        weight = next(self.projector.parameters())
        frames = _random_frames(tokens, self.projector.config.input_width, weight.device, weight.dtype)
        with torch.inference_mode():
            self.projector(frames)
        if weight.device.type == "cuda":
            torch.cuda.synchronize(weight.device)

    def at_paper_scale(self) -> LoneProjector:
        """Random weights; the same ones every time."""
        torch.manual_seed(0)
        weight = next(self.projector.parameters())
        projector = Projector(paper_scale(self.projector.config)).eval().requires_grad_(False)
        return LoneProjector(projector.to(weight.device, weight.dtype))

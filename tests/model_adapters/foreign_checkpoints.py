"""Projectors as others write them, and files that hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor, nn

from evalkit.cards import read_card
from model_adapters.audio_llm import import_checkpoint
from model_adapters.audio_llm.checkpoint import load_projector, read_weights
from model_adapters.audio_llm.importing import ImportReport
from model_adapters.audio_llm.loading import read_config
from model_adapters.audio_llm.projector import Projector

D, HIDDEN, LLM = 24, 16, 20
EXPERTS, E, M = 5, 7, 11
ATTENTION = "model.layers.0.self_attn.q_proj"


def silu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def mlp(width_in: int, hidden: int, out: int, bias: bool = True) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width_in, hidden, bias), nn.SiLU(), nn.Linear(hidden, out, bias))


class TheirMoE(nn.Module):
    """Somebody else's MoE adapter, written as people write them."""

    def __init__(
        self, shared: int = 1, norms: bool = True, bias: bool = True, out: bool = True, top_k: int = 4
    ) -> None:
        super().__init__()
        self.top_k = top_k
        self.ln = nn.LayerNorm(D) if norms else nn.Identity()
        self.gate = nn.Linear(D, EXPERTS, bias=False)
        width = M if out else LLM
        self.experts = nn.ModuleList(mlp(D, E, width, bias) for _ in range(EXPERTS))
        if shared == 1:
            self.shared_expert = mlp(D, E, width, bias)
        elif shared:
            self.shared_experts = nn.ModuleList(mlp(D, E, width, bias) for _ in range(shared))
        self.project = nn.Linear(M, LLM, bias) if out else nn.Identity()
        self.rms = nn.RMSNorm(LLM, eps=1e-6) if norms else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.ln(x)
        values, chosen = self.gate(x).topk(self.top_k)
        gates = torch.zeros(len(x), EXPERTS).scatter(1, chosen, values.softmax(-1))
        mixed = sum(gates[:, i, None] * expert(x) for i, expert in enumerate(self.experts))
        for shared in [getattr(self, "shared_expert", None), *getattr(self, "shared_experts", [])]:
            mixed = mixed + shared(x) if shared is not None else mixed
        return self.rms(self.project(mixed))


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """No parameter at a value that could come about by itself."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module.eval()


def weights(module: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    return {prefix + name: value.detach().clone() for name, value in module.state_dict().items()}


def saved(folder: Path, tensors: dict[str, Tensor], name: str = "theirs.safetensors") -> Path:
    path = folder / name
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)
    return path


def mapped(folder: Path, **content: Any) -> Path:
    path = folder / "mapping.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def take(folder: Path, source: Path, mapping: Path | None = None, name: str = "mine") -> ImportReport:
    report = import_checkpoint(source, name, folder / "models", mapping)
    assert isinstance(report, ImportReport)
    return report


def projector_of(report: ImportReport) -> Projector:
    config = read_config(read_card(report.card))
    stored = read_weights(report.card.parent / config.weights)
    return load_projector(config.projector, stored.projector, config.weights)


def imported(folder: Path, tensors: dict[str, Tensor], **mapping: Any) -> Projector:
    return projector_of(take(folder, saved(folder, tensors), mapped(folder, **mapping) if mapping else None))


def tokens() -> Tensor:
    return torch.randn(9, D, generator=torch.Generator().manual_seed(5))


def agree(ours: Projector, theirs: Any) -> None:
    with torch.inference_mode():
        torch.testing.assert_close(ours(tokens()).embeddings, theirs(tokens()), rtol=1e-4, atol=1e-5)


def changed(**changes: Tensor | None) -> dict[str, Tensor]:
    tensors: dict[str, Any] = weights(TheirMoE())
    tensors |= {key.replace("__", "."): value for key, value in changes.items()}
    return {key: value for key, value in tensors.items() if value is not None}

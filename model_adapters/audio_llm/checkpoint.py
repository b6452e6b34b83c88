"""Reading and writing the trained weights: projector and LoRA in one safetensors file. Nothing is unpickled."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from model_adapters.audio_llm.config import ProjectorConfig
from model_adapters.audio_llm.projector import Projector

_PROJECTOR, _LORA = "projector.", "lora."


@dataclass(frozen=True, slots=True)
class Weights:
    """projector: its state dict; lora: `<LLM module>.lora_A.weight` and `.lora_B.weight`; sha256: of the file."""

    projector: Mapping[str, Tensor]
    lora: Mapping[str, Tensor]
    sha256: str


def read_weights(path: Path) -> Weights:
    """Raises ValueError when the file is missing, cut short or not safetensors, or holds what is no weight."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError(f"cannot read the checkpoint {path.name}: it is not a file")
        with safe_open(path, framework="pt"):  # its header says how long it is: nothing longer is read
            data = path.read_bytes()
        tensors = load(data)
    except OSError as error:
        raise ValueError(f"cannot read the checkpoint {path.name}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise ValueError(f"{path.name} is not a whole safetensors file: {error}") from error
    except KeyError as error:  # types of numbers that torch does not have
        raise ValueError(f"{path.name} holds numbers of the type {error}, which cannot be read") from error
    foreign = [key for key in tensors if not key.startswith((_PROJECTOR, _LORA))]
    if foreign:
        raise ValueError(
            f"{path.name} holds {', '.join(sorted(foreign)[:3])}, which is neither projector nor LoRA: "
            "a checkpoint from elsewhere becomes a model by `evalkit models import`"
        )
    check_numbers(tensors, path.name)
    return Weights(
        projector={k.removeprefix(_PROJECTOR): v for k, v in tensors.items() if k.startswith(_PROJECTOR)},
        lora={k.removeprefix(_LORA): v for k, v in tensors.items() if k.startswith(_LORA)},
        sha256=hashlib.sha256(data).hexdigest(),
    )


def write_weights(
    path: Path,
    projector: Mapping[str, Tensor],
    lora: Mapping[str, Tensor],
    dtype: torch.dtype | None = torch.bfloat16,
) -> None:
    """Written as `dtype` (None: each tensor as it is), to a temporary name first."""
    from safetensors.torch import save_file

    tensors = {_PROJECTOR + k: v for k, v in projector.items()} | {_LORA + k: v for k, v in lora.items()}
    stored = {k: v.detach().to("cpu", dtype or v.dtype).contiguous() for k, v in tensors.items()}
    partial = path.with_suffix(".partial")
    save_file(stored, partial)
    partial.replace(path)


def load_projector(config: ProjectorConfig, tensors: Mapping[str, Tensor], source: str) -> Projector:
    """A projector with these weights in fp32. Raises ValueError naming every mismatch."""
    with torch.device("meta"):  # no memory for sizes that the file does not have
        projector = Projector(config)
    expected = {key: tuple(value.shape) for key, value in projector.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    if expected != found:
        raise ValueError(f"{source} does not fit the projector of its card: {_differences(expected, found)}")
    projector.load_state_dict({key: value.float() for key, value in tensors.items()}, assign=True)
    return projector.eval()


def check_numbers(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raises ValueError for NaN or infinite weights, and for those that are not floating-point numbers."""
    for key, value in sorted(tensors.items()):
        if not value.is_floating_point():
            kind = str(value.dtype).removeprefix("torch.")
            raise ValueError(
                f"{source}: {key} is {kind}, but weights are floating-point numbers, not quantised"
            )
        if not value.float().isfinite().all():
            raise ValueError(f"{source}: {key} holds NaN or infinite weights")


def _differences(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> str:
    lines = [f"{k} is missing" for k in expected.keys() - found.keys()]
    lines += [f"{k} is not known" for k in found.keys() - expected.keys()]
    lines += [
        f"{k} has shape {list(found[k])}, expected {list(expected[k])}"
        for k in expected.keys() & found.keys()
        if expected[k] != found[k]
    ]
    return "; ".join(sorted(lines)[:6])

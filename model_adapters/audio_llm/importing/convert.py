"""From a checkpoint of one's own to a named model: safetensors and a card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from evalkit.artifacts import build_once, file_sha256
from model_adapters.audio_llm.checkpoint import check_numbers, load_projector, write_weights
from model_adapters.audio_llm.config import LoraConfig, ProjectorConfig
from model_adapters.audio_llm.importing.lora import is_lora, lora_config, take_lora
from model_adapters.audio_llm.importing.mapping import EXPERT, Settings, read_settings
from model_adapters.audio_llm.importing.matching import Reading, read_as_projector
from model_adapters.audio_llm.importing.reading import read_tensors
from model_adapters.audio_llm.importing.units import Unit, collect

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, slots=True)
class Match:
    """One tensor of the projector: its name, shape, what it was made from, and what was done to it."""

    name: str
    shape: tuple[int, ...]
    origin: str
    change: str = ""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import found. As text it is what the user is shown.

    notes: what was assumed, because weights alone cannot say it.
    """

    card: Path
    projector: ProjectorConfig
    lora: LoraConfig | None
    matches: tuple[Match, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        width = max(len(match.name) for match in self.matches)
        lines = [f"{self.projector.kind} projector, written to {self.card.parent}", "", "matched:"]
        for match in self.matches:
            change = f" ({match.change})" if match.change else ""
            lines.append(f"  {match.name:<{width}}  {list(match.shape)}  <-  {match.origin}{change}")
        lines += ["", "assumed, since weights cannot say it:", *(f"  - {note}" for note in self.notes)]
        return "\n".join(lines)


def import_checkpoint(source: Path, name: str, output: Path, mapping: Path | None) -> ImportReport:
    """Writes `<output>/<name>/` with `weights.safetensors` and `card.yaml`, all of it or nothing.

    source: `.safetensors`, the index of a sharded one, or `.pt`, `.pth`, `.bin` with tensors alone; mapping:
    YAML that says which key is which weight, where shapes leave a doubt. Raises ValueError for a name that
    is taken or cannot be one, and for a checkpoint that is damaged or cannot be read as a projector in
    exactly one way; FileNotFoundError when there is no such file.
    """
    folder = _new_folder(output, name)
    settings = read_settings(mapping)
    tensors, left_out = read_tensors(source, lambda key: key.startswith(settings.prefix) or is_lora(key))
    if not tensors:
        raise ValueError(
            f"{source.name} holds no tensors" + f" below {settings.prefix!r}" * bool(settings.prefix)
        )
    check_numbers(tensors, source.name)
    lora = take_lora(tensors)
    found = {key: value for key, value in tensors.items() if not is_lora(key)}
    if not found:
        raise ValueError(f"{source.name} holds a LoRA but no projector")
    reading = read_as_projector(collect(found, settings), settings)
    config = _config(reading, settings)
    state, matches = _state(reading, config)
    load_projector(config, state, source.name)
    notes = _notes(reading, config, settings)
    if left_out:
        notes.append(f"{left_out} tensors that are not below {settings.prefix!r} were left out")
    adapters = None
    if lora:
        adapters, where = lora_config(lora, settings.lora_alpha, source)
        notes.append(
            f"LoRA of rank {adapters.rank} on {len(lora) // 2} layers; alpha {adapters.alpha:g} is from {where}"
        )
    _write(folder, _card(name, config, adapters, source), state, lora)
    return ImportReport(folder / "card.yaml", config, adapters, tuple(matches), tuple(notes))


def _new_folder(output: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot name a model: use letters, digits, '.', '_', '-', and start with a letter or digit"
        )
    folder = output / name
    if folder.exists():
        raise ValueError(f"{folder} exists already: choose another name, or remove it first")
    return folder


def _config(reading: Reading, settings: Settings) -> ProjectorConfig:
    sizes, stack = reading.sizes, settings.frames
    if sizes["d"] % stack:
        raise ValueError(
            f"the projector takes {sizes['d']} numbers a token, which are not {stack} stacked frames: say how many "
            "frames make one token by `stack: NUMBER` in a mapping file"
        )
    values: dict[str, Any] = {
        "kind": reading.kind,
        "encoder_width": sizes["d"] // stack,
        "llm_width": sizes["llm"],
        "stack": stack,
        "input_norm": "norm_in" in reading.modules,
        "output_norm": "norm_out" in reading.modules,
    }
    if reading.kind == "dense":
        values["hidden_width"] = sizes["h"]
    if reading.kind == "moe":
        if settings.experts_per_token > sizes["experts"]:
            raise ValueError(
                f"top_k is {settings.experts_per_token}{'' if settings.top_k else ' by default'}, but there are "
                f"{sizes['experts']} experts: say how many a token goes to by `top_k: NUMBER` in a mapping file"
            )
        values |= {
            "num_experts": sizes["experts"],
            "top_k": settings.experts_per_token,
            "num_shared_experts": sizes.get("shared", 0),
            "expert_width": sizes["e"],
            "moe_width": sizes.get("m", sizes["llm"]),
        }
    return ProjectorConfig(**values)


def _state(reading: Reading, config: ProjectorConfig) -> tuple[dict[str, Tensor], list[Match]]:
    """The projector's tensors, and for each what it was made from."""
    state: dict[str, Tensor] = {}
    matches: list[Match] = []

    def put(name: str, value: Tensor, origin: str, change: str = "") -> None:
        exact = value.float() if value.dtype == torch.float64 else value
        state[name] = exact.contiguous()
        matches.append(Match(name, tuple(value.shape), origin, change))

    for place, (unit, layout) in reading.modules.items():
        stacked = place.startswith(("core.experts", "core.shared"))
        weight, change = _weight(unit, layout, stacked)
        put(place if stacked else f"{place}.weight", weight, unit.key, change)
        if place in ("core.router", "norm_out"):
            continue
        shape = (weight.shape[0], weight.shape[-1]) if stacked else weight.shape[:1]
        bias = weight.new_zeros(shape) if unit.bias is None else unit.bias.reshape(shape)
        origin = unit.bias_key or "zeros: it has none"
        put(f"{place}_bias" if stacked else f"{place}.bias", bias, origin)
    if reading.kind == "moe" and "core.out" not in reading.modules:
        like = state["core.experts.down"]
        put("core.out.weight", torch.eye(config.llm_width, dtype=like.dtype), "identity: it has no W_P")
        put("core.out.bias", like.new_zeros(config.llm_width), "zeros: it has no W_P")
    return state, matches


def _weight(unit: Unit, layout: str, stacked: bool) -> tuple[Tensor, str]:
    """nn.Linear keeps [out, in], the stacked experts [expert, in, out]."""
    weight = unit.weight
    if stacked and weight.ndim == 2:
        weight = weight[None]
    changes = ["experts stacked"] if EXPERT in unit.key else []
    if weight.ndim > 1 and layout != ("in_out" if stacked else "out_in"):
        weight = weight.transpose(-1, -2)
        changes.append("transposed")
    return weight, ", ".join(changes)


def _notes(reading: Reading, config: ProjectorConfig, settings: Settings) -> list[str]:
    given = (
        "as the mapping file says" if settings.stack else "the default; `stack` in a mapping file changes it"
    )
    notes = [
        f"stack {config.stack} ({given}): a token of {config.input_width} numbers is {config.stack} frames of "
        f"{config.encoder_width}, one after the other"
    ]
    if reading.kind != "linear":
        notes.append("the activation between the two layers is SiLU")
    if reading.kind == "moe":
        given = (
            "as the mapping file says"
            if settings.top_k
            else "the default; `top_k` in a mapping file changes it"
        )
        notes.append(f"top_k {config.top_k} ({given})")
        notes.append(
            "gates are a softmax over the top-k logits alone, shared experts are added with weight 1, and W_P comes "
            "after the sum; a model trained with another convention gives other outputs here"
        )
    norms = {"LayerNorm (eps 1e-5) before": config.input_norm, "RMSNorm (eps 1e-6) after": config.output_norm}
    for norm, there in norms.items():
        place = norm.rpartition(" ")[2]
        notes.append(f"{norm} the core" if there else f"no norm {place} the core: the checkpoint has none")
    unsure = [u.key for u, layout in reading.modules.values() if u.weight.ndim > 1 and layout == "in_out"]
    if unsure:
        notes.append(f"stored as [in, out], by their shapes: {', '.join(unsure)}")
    notes.append(
        "the prompt is ChatML without a system message of its own; `chat_template` in the card changes it"
    )
    return notes


def _card(name: str, config: ProjectorConfig, lora: LoraConfig | None, source: Path) -> Mapping[str, Any]:
    parts: dict[str, Any] = {"projector": config.model_dump(), "weights": _WEIGHTS}
    if lora is not None:
        parts["lora"] = lora.model_dump()
    parts["training"] = {"imported_from": source.name, "sha256": file_sha256(source)}
    return {"name": name, "loader": "audio_llm", "summary": f"imported from {source.name}", "config": parts}


def _write(
    folder: Path, card: Mapping[str, Any], state: Mapping[str, Tensor], lora: Mapping[str, Tensor]
) -> None:
    made = []

    def build(part: Path) -> None:
        part.mkdir()
        exact = {key: value.float() if value.dtype == torch.float64 else value for key, value in lora.items()}
        write_weights(part / _WEIGHTS, state, exact, dtype=None)
        (part / "card.yaml").write_text(yaml.safe_dump(dict(card), sort_keys=False), encoding="utf-8")
        made.append(part)

    build_once(folder, build)
    if not made:
        raise ValueError(f"{folder} was made by another process at the same time: choose another name")

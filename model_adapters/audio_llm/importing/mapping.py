"""The mapping file: which of the checkpoint's keys is which weight, and what weights cannot say."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from model_adapters.audio_llm.config import ProjectorConfig

Layout = Literal["out_in", "in_out"]
EXPERT = "{expert}"

_MODULES = ("norm_in", "norm_out", "core", "core.up", "core.down", "core.router", "core.out")
_STACKS = ("core.experts.up", "core.experts.down", "core.shared.up", "core.shared.down")
# The projector's own tensor names, each with the module it belongs to and its part there.
TENSORS: Mapping[str, tuple[str, Literal["weight", "bias"]]] = {
    **{f"{module}.weight": (module, "weight") for module in _MODULES},
    **{
        f"{module}.bias": (module, "bias") for module in _MODULES if module not in ("norm_out", "core.router")
    },
    **{stack: (stack, "weight") for stack in _STACKS},
    **{f"{stack}_bias": (stack, "bias") for stack in _STACKS},
}


class Origin(BaseModel):
    """key: a name in the checkpoint, with `{expert}` for a number that counts experts.

    layout: how the matrix is stored, where that differs from what its shape says; `out_in` is nn.Linear's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    layout: Layout | None = None


class Settings(BaseModel):
    """A mapping file, checked. `tensors` are its entries whose keys are the projector's own tensor names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["linear", "dense", "moe"] | None = None
    stack: int | None = Field(None, gt=0)
    top_k: int | None = Field(None, gt=0)
    prefix: str = ""
    lora_alpha: float | None = Field(None, gt=0, allow_inf_nan=False)
    tensors: dict[str, Origin] = {}

    @field_validator("tensors", mode="before")
    @classmethod
    def _plain_names(cls, tensors: Any) -> Any:
        return {
            ours: {"key": theirs} if isinstance(theirs, str) else theirs for ours, theirs in tensors.items()
        }

    @property
    def frames(self) -> int:
        default: int = ProjectorConfig.model_fields["stack"].default
        return self.stack or default

    @property
    def experts_per_token(self) -> int:
        default: int = ProjectorConfig.model_fields["top_k"].default
        return self.top_k or default


def read_settings(path: Path | None) -> Settings:
    """Raises ValueError naming every mistake. Without a file everything is found by shape."""
    if path is None:
        return Settings()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"cannot read the mapping file {path.name}: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError(
            f"{path.name} is no mapping file: expected lines such as `core.up.weight: their.key`"
        )
    names = Settings.model_fields.keys() - {"tensors"}
    unknown = [key for key in content if key not in names and key not in TENSORS]
    if unknown:
        raise ValueError(f"{path.name}: {'; '.join(_unknown(key, names) for key in unknown)}")
    settings = {key: value for key, value in content.items() if key in names}
    tensors = {key: value for key, value in content.items() if key in TENSORS}
    try:
        return Settings.model_validate({**settings, "tensors": tensors})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])).removeprefix('tensors.')}: {e['msg']}" for e in error.errors()
        )
        raise ValueError(f"{path.name}: {problems}") from error


def _unknown(key: str, names: set[str]) -> str:
    near = difflib.get_close_matches(key, [*names, *TENSORS], n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(sorted(names))} or a tensor name"
    return f"unknown key {key!r}; {hint}"

"""What a training recipe says: one YAML file, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model_adapters.audio_llm.config import LoraConfig, ProjectorConfig

# Of these a recipe that is `like` another takes what it does not say; the rest it replaces as a whole.
_SETTINGS = ("lora", "align", "extend", "tune")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSource(_Frozen):
    """Training clips that are asked and answered as a task's test clips are.

    task: name of the task whose prompt and target are used; path: JSONL below the training data folder;
    share: relative weight in the mixture; align: whether it is speech, for CTC in the alignment stage too;
    extend: relative weight in the extension stage, none by default;
    balanced: draw every different answer equally often, for label sets with rare labels.
    """

    task: str
    path: str
    share: float = Field(1.0, gt=0)
    align: bool = True
    extend: float = Field(0.0, ge=0)
    balanced: bool = False


class AlignStage(_Frozen):
    """CTC to the LLM's token embeddings: the projector learns to speak the LLM's vocabulary.

    First on speech alone; then, in a few epochs more, it learns to name what else is to be heard, by the
    mean over a clip's frames: a projector step costs a hundredth of one through the LLM.
    """

    steps: int = Field(1500, ge=0)
    batch_size: int = Field(32, gt=0)
    learning_rate: float = Field(1e-3, gt=0)


class TuneStage(_Frozen):
    """Next-token loss through the LLM: projector and LoRA together.

    least_kept: of every clip that is no speech only a share of the tokens, drawn anew at every step between
    this and all, reaches the LLM: the answer must not hang on the few tokens that give a training clip away.
    """

    steps: int = Field(500, ge=0)
    batch_size: int = Field(16, gt=0)
    projector_learning_rate: float = Field(3e-4, gt=0)
    lora_learning_rate: float = Field(5e-4, gt=0)
    least_kept: float = Field(1.0, gt=0, le=1)


class Recipe(_Frozen):
    """One arm: the same recipe with another projector or seed is a fair comparison.

    dropped_frames: share of every clip's projector input that is blanked in short spans, anew at every
    step (SpecAugment's time masking, Park et al., 2019), so that few clips are not learnt by heart.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    projector: ProjectorConfig
    lora: LoraConfig = LoraConfig()
    seed: int = 0
    balance_weight: float = Field(0.01, ge=0)
    data: tuple[DataSource, ...] = Field(min_length=1)
    align: AlignStage = AlignStage()
    extend: AlignStage = AlignStage(steps=0)
    tune: TuneStage = TuneStage()
    dropped_frames: float = Field(0.0, ge=0, lt=1)
    warmup: float = Field(0.1, ge=0, le=1)
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    save_every: int = Field(100, gt=0)

    @model_validator(mode="after")
    def _stages_have_data(self) -> Recipe:
        if self.align.steps and not any(source.align for source in self.data):
            raise ValueError(
                "align has steps, but no source of `data` has `align: true`; set align: {steps: 0}"
            )
        if self.extend.steps and not any(source.extend for source in self.data):
            raise ValueError("extend has steps, but no source of `data` has an `extend` share")
        return self

    @property
    def aligned_by(self) -> str:
        """What decides the alignment stage: other tuning settings can go on from the same alignment."""
        sources = tuple(s.model_copy(update={"extend": 0.0}) for s in self.data if s.align)
        part = self.model_copy(update={"data": sources})
        return part.model_dump_json(exclude={"name", "lora", "extend", "tune", "save_every"})

    @property
    def extended_by(self) -> str:
        """What decides the extension stage: the alignment before it, and its own sources."""
        sources = tuple(s if s.align else s.model_copy(update={"share": 1.0}) for s in self.data)
        part = self.model_copy(update={"data": sources})
        return part.model_dump_json(exclude={"name", "lora", "tune", "save_every"})


def read_recipe(path: Path) -> Recipe:
    """`like: FILE.yaml` takes all that is not said from a recipe in the same folder, so that two arms differ
    by what their files say: within `lora`, `align`, `extend` and `tune` too; `projector` and `data` are
    replaced as a whole. Raises ValueError naming every mistake.
    """
    loaded = _load(path)
    if isinstance(loaded, dict) and "like" in loaded:
        other = str(loaded.pop("like"))
        if Path(other).name != other:
            raise ValueError(f"{path}: like: {other!r} must be the name of a recipe in the same folder")
        rest = _load(path.with_name(other))
        if not isinstance(rest, dict) or "like" in rest:
            raise ValueError(f"{path}: like: {other!r} must be a whole recipe, without a `like` of its own")
        loaded = rest | loaded | {part: _merged(rest, loaded, part) for part in _SETTINGS if part in loaded}
    try:
        return Recipe.model_validate(loaded)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ValueError(f"{path} is not a training recipe: {problems}") from error


def _merged(rest: dict[str, Any], loaded: dict[str, Any], part: str) -> Any:
    """Of one section: what `loaded` says of it before what `rest` says."""
    both = rest.get(part), loaded[part]
    return both[0] | both[1] if isinstance(both[0], dict) and isinstance(both[1], dict) else both[1]


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """A further seed of the same recipe, named as leaderboards and comparisons join seeds: NAME-s<seed>."""
    return recipe.model_copy(update={"seed": seed, "name": f"{recipe.name}-s{seed}"})


def _load(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read the recipe {path}: {error}") from error

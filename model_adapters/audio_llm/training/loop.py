"""The optimisation loop that both stages share: schedule, clipping, curves, checkpoints, exact resume."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model_adapters.audio_llm.training.curves import draw_curves
from model_adapters.audio_llm.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that share a peak learning rate."""

    parameters: Sequence[nn.Parameter]
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Loss:
    """total: what is differentiated; curves: named values for the CSV, the same names at every step
    (None where a step has no such value)."""

    total: Tensor
    curves: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Stage:
    """made_by: everything that decides the stage's outcome, so that another recipe does not go on from its
    checkpoint; loss(step) must be a pure function of the step and the parameters, so that resuming is exact."""

    name: str
    made_by: str
    steps: int
    groups: Sequence[Group]
    modules: Mapping[str, nn.Module]
    loss: Callable[[int], Loss]


def schedule(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate: linear warm-up, then a cosine down to zero."""
    position = (step + 0.5) / steps
    if position < warmup:
        return position / warmup
    return 0.5 * (1 + math.cos(math.pi * (position - warmup) / max(1e-9, 1 - warmup)))


def run_stage(stage: Stage, recipe: Recipe, folder: Path, say: Callable[[str], None]) -> None:
    """Trains the stage's modules in place; goes on where a killed run last saved.

    The stage's curves stand in `<stage>.csv` and, once it is over, drawn in `<stage>.svg`.
    """
    optimizer = torch.optim.AdamW(
        [{"params": list(g.parameters), "lr": g.learning_rate} for g in stage.groups],
        weight_decay=recipe.weight_decay,
    )
    start = _resume(stage, optimizer, folder)
    curves = _Curves(folder / f"{stage.name}.csv", start)
    began = time.monotonic()
    parameters = [p for g in stage.groups for p in g.parameters]
    for step in range(start, stage.steps):
        factor = schedule(step, stage.steps, recipe.warmup)
        for group, settings in zip(optimizer.param_groups, stage.groups, strict=True):
            group["lr"] = settings.learning_rate * factor
        loss = stage.loss(step)
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        norm = float(nn.utils.clip_grad_norm_(parameters, recipe.clip_norm))
        if not math.isfinite(norm):
            raise ValueError(
                f"{stage.name}: the gradient at step {step} is not finite; lower the learning rate"
            )
        optimizer.step()
        curves.add(step, {**loss.curves, "grad_norm": norm})
        done = step + 1
        if done % recipe.save_every == 0 or done == stage.steps:
            _save(stage, optimizer, folder, done)
            say(_line(stage, done, start, loss, time.monotonic() - began))
    draw_curves(folder / f"{stage.name}.csv")


def _line(stage: Stage, done: int, start: int, loss: Loss, seconds: float) -> str:
    left = seconds / (done - start) * (stage.steps - done)
    values = ", ".join(
        f"{k} {v:.3f}" for k, v in loss.curves.items() if k.startswith("loss") and v is not None
    )
    return f"{stage.name} {done}/{stage.steps}: {values}; {left / 60:.1f} min of the stage left"


def _checkpoint(stage: Stage, folder: Path) -> Path:
    return folder / f"{stage.name}.pt"


def _save(stage: Stage, optimizer: torch.optim.Optimizer, folder: Path, step: int) -> None:
    state = {
        "step": step,
        "made_by": stage.made_by,
        "modules": {name: trained_state(module) for name, module in stage.modules.items()},
        "optimizer": optimizer.state_dict(),
    }
    partial = folder / f"{stage.name}.partial"
    torch.save(state, partial)
    partial.replace(_checkpoint(stage, folder))


def _resume(stage: Stage, optimizer: torch.optim.Optimizer, folder: Path) -> int:
    path = _checkpoint(stage, folder)
    if not path.exists():
        return 0
    state: Mapping[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    if state["made_by"] != stage.made_by:
        raise ValueError(
            f"{path} was made by another recipe, from other data or on another device; choose another --output, "
            "or delete it to start over"
        )
    for name, module in stage.modules.items():
        module.load_state_dict(state["modules"][name], strict=False)
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def trained_state(module: nn.Module) -> dict[str, Tensor]:
    """The parameters that are trained: all of a projector, only the LoRA of an LLM."""
    return {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}


class _Curves:
    """One CSV row a step. Rows after the step that a resumed run starts at are dropped, and torn ones."""

    def __init__(self, path: Path, start: int) -> None:
        self._path = path
        self._columns: list[str] = []
        if not path.exists():
            return
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        self._columns = rows[0] if rows and start else []
        kept = [row for row in rows[1:] if len(row) == len(self._columns) and int(row[0]) < start]
        partial = path.with_suffix(".csv.partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([self._columns, *kept] if self._columns else [])
        partial.replace(path)

    def add(self, step: int, values: Mapping[str, float | None]) -> None:
        with self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if not self._columns:
                self._columns = ["step", *values]
                writer.writerow(self._columns)
            found = [values.get(column) for column in self._columns[1:]]
            writer.writerow([step, *("" if value is None else f"{value:.6g}" for value in found)])

"""`evalkit diagnose conflict`: whether the families pull the projector's weights in opposite directions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from evalkit.diagnostics.clips import Clip, Say, clips
from evalkit.diagnostics.drawing import heat_map
from evalkit.diagnostics.report import Cell, Report, Table
from evalkit.inside import Differentiable
from evalkit.model import Model
from evalkit.stats.seeds import t_interval
from evalkit.tasks.schema import Task

Gradient = Mapping[str, NDArray[np.float32]]
Floats = NDArray[np.float64]

WHOLE = "projector"
# By weight, in the root mean square: with ten times as much, steps overshoot even on their own family.
STEP = 1e-4

PAPER = (
    "Lei et al. (arXiv 2601.02967), much larger models during training: dense Music-Sound -0.020, Speech-Sound "
    "0.012, Speech-Music 0.013; MoE 0.029, 0.028, 0.023"
)


@dataclass(frozen=True, slots=True)
class Batch:
    """The same number of clips of every family; batches share no clip."""

    families: Mapping[str, tuple[Clip, ...]]


def cosine(first: Floats, second: Floats) -> float:
    """g_i . g_j / (|g_i| |g_j|); below 0 the gradients conflict (Yu et al. 2020, "Gradient Surgery for
    Multi-Task Learning", definition 1). NaN where one of them is zero."""
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / norms if norms else math.nan


def magnitude_similarity(first: Floats, second: Floats) -> float:
    """2 |g_i| |g_j| / (|g_i|^2 + |g_j|^2): 1 for equal norms, 0 where one outweighs the other entirely
    (Yu et al. 2020, definition 2)."""
    one, other = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    return 2 * one * other / (one**2 + other**2) if one or other else math.nan


def influence(before: float, after: float) -> float:
    """1 - L_B(after a step for A) / L_B(before): above 0 a step for A helps B (Fifty et al. 2021, "Efficiently
    Identifying Task Groupings", eq. 1)."""
    return 1 - after / before if before else math.nan


def matched_batches(found: Sequence[Clip], size: int, count: int) -> list[Batch]:
    """Up to `count` batches of `size` clips of each family, spread over its tasks.

    ValueError with fewer than two families, or fewer than two whole batches.
    """
    families: dict[str, list[Clip]] = {}
    for clip in _by_turns(found):
        families.setdefault(clip.family, []).append(clip)
    if len(families) < 2:
        raise ValueError(f"conflict is between families, but there is only {', '.join(families) or 'none'}")
    most = min(count, min(map(len, families.values())) // size)
    if most < 2:
        fewest = min(families, key=lambda family: len(families[family]))
        raise ValueError(
            f"family {fewest} has {len(families[fewest])} clips; at least {2 * size} make two batches of {size}"
        )
    return [
        Batch({family: tuple(members[place::most][:size]) for family, members in families.items()})
        for place in range(most)
    ]


def diagnose_conflict(
    models: Sequence[Model], tasks: Sequence[Task], *, batch_size: int, batches: int, say: Say
) -> Report:
    """Cosines between the families' gradients on the same batches for every model.

    ValueError when a model's gradients cannot be taken.
    """
    tables: list[Table] = []
    figures: dict[str, str] = {}
    each = math.ceil(batch_size * batches / min(_tasks_of_family(tasks).values()))
    for model in models:
        name = model.info.name
        if not isinstance(model, Differentiable):
            raise ValueError(f"{name} gives no gradients of its projector (evalkit.inside.Differentiable)")
        matched = matched_batches(clips(model, tasks, each), batch_size, batches)
        measured = [
            _measure(model, batch, f"{name}, batch {i + 1} of {len(matched)}", say)
            for i, batch in enumerate(matched)
        ]
        tables += _tables(name, measured)
        figures |= _figures(name, measured)
    about = {"tasks": [task.name for task in tasks], "batch_size": batch_size, "batches": batches}
    shown = tuple(t.name for t in tables if t.name.endswith(("-pairs", "-influence")))
    notes = (
        "cosine and its t interval are over batches that share no clip; gradients of held-out clips",
        "conflict: share of batches with a cosine below 0; a family with itself: between different batches",
        f"influence: of a step down A's gradient, {STEP:g} a weight in the root mean square, on the same batch",
        PAPER,
    )
    return Report(tuple(tables), shown, figures, notes, about)


@dataclass(frozen=True, slots=True)
class Measured:
    """One batch: every family's gradient and loss, and each one's loss after a step for each other."""

    gradients: Mapping[str, Gradient]
    losses: Mapping[str, float]
    moved: Mapping[tuple[str, str], float]


def _measure(model: Differentiable, batch: Batch, what: str, say: Say) -> Measured:
    asked = {family: [clip.supervised for clip in members] for family, members in batch.families.items()}
    gradients: dict[str, Gradient] = {}
    losses: dict[str, float] = {}
    moved: dict[tuple[str, str], float] = {}
    for family, members in asked.items():
        gradients[family] = model.gradients(members)
        losses[family] = model.loss(members)
        say(f"{what}: gradient of {family}")
    for family, gradient in gradients.items():
        step = _step(gradient)
        for other, members in asked.items():
            moved[family, other] = model.loss(members, step)
        say(f"{what}: step for {family}")
    return Measured(gradients, losses, moved)


def _step(gradient: Gradient) -> Gradient:
    """Down the gradient, as long as STEP per weight in the root mean square: the same length for all."""
    whole = flat(gradient, WHOLE)
    norm = float(np.linalg.norm(whole))
    length = STEP * math.sqrt(len(whole))
    return {part: (-length / norm * g).astype(np.float32) if norm else g for part, g in gradient.items()}


def flat(gradient: Gradient, part: str) -> Floats:
    """One part's gradient, or the whole projector's, in the order of its parts."""
    parts = [gradient[key] for key in sorted(gradient)] if part == WHOLE else [gradient[part]]
    return np.concatenate(parts).astype(np.float64)


def _tables(name: str, measured: Sequence[Measured]) -> list[Table]:
    families = list(measured[0].gradients)
    pairs, parts = [], []
    for one, other in [*combinations(families, 2), *((family, family) for family in families)]:
        for part in (WHOLE, *measured[0].gradients[one]):
            row = _pair_row(measured, one, other, part)
            if part == WHOLE:
                pairs.append((one, other, *row))
            parts.append((part, one, other, *row))
    columns = (
        "family",
        "other family",
        "cosine",
        "low",
        "high",
        "conflict",
        "magnitude similarity",
        "batches",
    )
    reach: list[tuple[Cell, ...]] = []
    for (one, other), values in _influences(measured).items():
        mean, low, high = _mean(values)
        reach.append((one, other, mean, low, high, len(values)))
    return [
        Table(f"{name}-pairs", "Cosine of the families' gradients, whole projector", columns, tuple(pairs)),
        Table(f"{name}-parts", "Cosine by part of the projector", ("part", *columns), tuple(parts)),
        Table(
            f"{name}-influence",
            "Relative fall of a family's loss after a step for another",
            ("step for", "on", "influence", "low", "high", "batches"),
            tuple(reach),
        ),
    ]


def _pair_row(measured: Sequence[Measured], one: str, other: str, part: str) -> tuple[Cell, ...]:
    """Over batches; a family with itself is taken from one batch and the next."""
    first = [flat(m.gradients[one], part) for m in measured]
    second = [flat(m.gradients[other], part) for m in measured]
    if one == other:
        first, second = first[:-1], second[1:]
    cosines = [c for c in map(cosine, first, second) if math.isfinite(c)]
    sizes = [s for s in map(magnitude_similarity, first, second) if math.isfinite(s)]
    if not cosines:
        return (None, None, None, None, None, 0)
    conflict = sum(c < 0 for c in cosines) / len(cosines)
    return (*_mean(cosines), conflict, float(np.mean(sizes)), len(cosines))


def _influences(measured: Sequence[Measured]) -> dict[tuple[str, str], list[float]]:
    families = list(measured[0].gradients)
    return {
        (one, other): [influence(m.losses[other], m.moved[one, other]) for m in measured]
        for one in families
        for other in families
    }


def _mean(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    bounds = t_interval(values)
    return float(np.mean(values)), bounds.low, bounds.high


def _figures(name: str, measured: Sequence[Measured]) -> dict[str, str]:
    families = list(measured[0].gradients)
    cosines, reach = np.full((2, len(families), len(families)), math.nan)
    for y, one in enumerate(families):
        for x, other in enumerate(families):
            found = _pair_row(measured, one, other, WHOLE)[0]
            cosines[y, x] = found if isinstance(found, float) else math.nan
    for (one, other), values in _influences(measured).items():
        reach[families.index(one), families.index(other)] = 100 * float(np.mean(values))
    away = cosines[~np.eye(len(families), dtype=bool)]
    most = max(0.05, float(np.nanmax(np.abs(away), initial=0.0)))
    largest = max(0.01, float(np.nanmax(np.abs(reach), initial=0.0)))
    return {
        f"{name}-cosine": heat_map(
            f"Gradient cosine by family: {name}",
            families,
            families,
            cosines,
            low=-most,
            high=most,
            digits=3,
            note="red: conflict; diagonal: the same family on other clips, what noise leaves of 1",
        ),
        f"{name}-influence": heat_map(
            f"Influence of a step: {name}",
            families,
            families,
            reach,
            low=-largest,
            high=largest,
            note="row: step for; column: fall of that family's loss, percent",
        ),
    }


def _by_turns(found: Sequence[Clip]) -> list[Clip]:
    """The tasks' clips by turns, so that every batch of a family holds all of its tasks."""
    tasks: dict[str, list[Clip]] = {}
    for clip in found:
        tasks.setdefault(clip.task, []).append(clip)
    longest = max(map(len, tasks.values()), default=0)
    return [members[turn] for turn in range(longest) for members in tasks.values() if turn < len(members)]


def _tasks_of_family(tasks: Sequence[Task]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for task in tasks:
        family = task.meta.family or task.name
        counts[family] = counts.get(family, 0) + 1
    return counts

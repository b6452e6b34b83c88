"""Training seeds: models called NAME, NAME-s1, NAME-s2, ... are one recipe trained again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from evalkit.results.record import MetricValue
from evalkit.stats.seeds import t_interval

_SEED = re.compile(r"(?P<arm>.+)-s(?P<seed>\d+)")


def arm_and_seed(model: str) -> tuple[str, int]:
    """`("moe_adapter", 2)` for `moe_adapter-s2`; a model without such an ending is seed 0 of itself."""
    match = _SEED.fullmatch(model)
    return (match["arm"], int(match["seed"])) if match else (model, 0)


def arms_of(models: Iterable[str]) -> dict[str, dict[int, str]]:
    """The arms that have several seeds, with the model of every seed, in order."""
    found: dict[str, dict[int, str]] = {}
    for model in sorted(set(models)):
        arm, seed = arm_and_seed(model)
        found.setdefault(arm, {})[seed] = model
    return {arm: dict(sorted(seeds.items())) for arm, seeds in found.items() if len(seeds) > 1}


def mean_value(values: Sequence[MetricValue]) -> tuple[MetricValue, float]:
    """The mean of one metric over training seeds with Student's t interval, and the standard deviation.

    Bounds are the means of those of the seeds, a seed without failures having its value for both.
    """
    numbers = [one.value for one in values]
    bounds = t_interval(numbers, level=values[0].level)
    changes: dict[str, Any] = {}
    if any(one.worst is not None for one in values):
        changes = {
            end: float(
                np.mean([one.value if (bound := getattr(one, end)) is None else bound for one in values])
            )
            for end in ("worst", "best")
        }
    mean = MetricValue(
        value=float(np.mean(numbers)),
        low=bounds.low,
        high=bounds.high,
        level=values[0].level,
        method=bounds.method,
        higher_is_better=values[0].higher_is_better,
        note=bounds.note,
        **changes,
    )
    return mean, float(np.std(numbers, ddof=1))

"""Training seeds: models called NAME, NAME-s1, NAME-s2, ... are one recipe trained again."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from evalkit.results.record import MetricValue
from evalkit.stats.seeds import mean_end, over_seeds_and_samples

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


def mean_value(
    values: Sequence[MetricValue], limits: tuple[float, float] = (-math.inf, math.inf)
) -> tuple[MetricValue, float]:
    """The mean of one metric over training seeds, and the standard deviation.

    Its interval is over seeds and samples together, where every seed has one over the samples, and ends at the
    metric's `limits`. Bounds are the means of those of the seeds, a seed without failures having its value for
    both.
    """
    numbers = [one.value for one in values]
    low, high = mean_end([one.low for one in values]), mean_end([one.high for one in values])
    found = over_seeds_and_samples(numbers, low, high, level=values[0].level)
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
        low=None if found.low is None else max(found.low, limits[0]),
        high=None if found.high is None else min(found.high, limits[1]),
        level=values[0].level,
        method=found.method,
        higher_is_better=values[0].higher_is_better,
        note=found.note,
        **changes,
    )
    return mean, float(np.std(numbers, ddof=1))

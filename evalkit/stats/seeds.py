"""Several training seeds of one recipe: the mean of their values, and how far it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.stats.bootstrap import Interval
from evalkit.stats.reducers import Additive, Matrix, Reducer, Vector, reduce_additive

FEW_SEEDS = 5


@dataclass(frozen=True, slots=True)
class MeanOverSeeds:
    """The mean value of `seeds` models over the same samples; statistics [seed 1 | seed 2 | ...]."""

    scorer: Reducer
    seeds: int

    def reduce(self, statistics: Matrix, weights: Matrix) -> Vector:
        values = [self.scorer.reduce(part, weights) for part in np.split(statistics, self.seeds, axis=1)]
        mean: Vector = np.mean(values, axis=0)
        return mean


@dataclass(frozen=True, slots=True)
class AdditiveMeanOverSeeds:
    """`MeanOverSeeds` of an additive scorer."""

    scorer: Additive
    seeds: int

    def reduce(self, statistics: Matrix, weights: Matrix) -> Vector:
        return reduce_additive(self, statistics, weights)

    def totals(self, statistics: Matrix) -> Matrix:
        return np.hstack([self.scorer.totals(part) for part in np.split(statistics, self.seeds, axis=1)])

    def value(self, totals: Matrix) -> Vector:
        values = [self.scorer.value(part) for part in np.split(totals, self.seeds, axis=1)]
        mean: Vector = np.mean(values, axis=0)
        return mean


def mean_over_seeds(scorer: Reducer, seeds: int) -> Reducer:
    """The scorer of statistics [seed 1 | seed 2 | ...], of each the same columns, that averages their values."""
    if seeds == 1:
        return scorer
    return (
        AdditiveMeanOverSeeds(scorer, seeds) if isinstance(scorer, Additive) else MeanOverSeeds(scorer, seeds)
    )


def t_interval(
    values: Sequence[float], *, level: float = 0.95, one: str = "seed", many: str = "seeds"
) -> Interval:
    """Student's t interval of the mean of independent values, such as one a training seed (Student 1908).

    one, many: what a value stands for, as the notes call it.

    Refused for a single value (low and high None, the note says why); with fewer than 5 the note says so.
    """
    from scipy.stats import t

    if not values or not all(map(math.isfinite, values)):
        raise ValueError("a t interval needs finite values, at least one")
    if len(values) == 1:
        return Interval(None, None, "", note=f"no interval: only one {one}")
    centre = float(np.mean(values))
    half = float(t.ppf((1 + level) / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    note = f"only {len(values)} {many}" if len(values) < FEW_SEEDS else ""
    return Interval(centre - half, centre + half, f"t interval over {many}", note=note)


def over_seeds_and_samples(
    values: Sequence[float], low: float | None, high: float | None, *, level: float = 0.95
) -> Interval:
    """The interval of the mean of one value a training seed, all on the same samples.

    low, high: of the interval of that mean over the samples, at the same level; None leaves the seeds alone, and
    the note says so. The seeds' part is Student's t. The two are independent, so their distances from the mean add
    as variances do (MOVER: Zou, Huang and Zhang, Comput. Stat. Data Anal. 53, 2009). Refused for a single value,
    as `t_interval` is.
    """
    seeds = t_interval(values, level=level)
    if seeds.low is None or seeds.high is None:
        return seeds
    if low is None or high is None:
        return replace(seeds, note="; ".join(filter(None, [seeds.note, "over the seeds alone"])))
    centre, half = float(np.mean(values)), (seeds.high - seeds.low) / 2
    below, above = max(centre - low, 0.0), max(high - centre, 0.0)
    method = "t interval over seeds joined with that over samples"
    return Interval(
        centre - math.hypot(half, below), centre + math.hypot(half, above), method, note=seeds.note
    )


def mean_end(ends: Sequence[float | None]) -> float | None:
    """The mean of one end of the seeds' intervals; None unless every seed has one."""
    known = [end for end in ends if end is not None]
    return float(np.mean(known)) if len(known) == len(ends) else None

"""One metric of one task, two arms on the same samples: the difference and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from evalkit.metrics.edits import EditRate
from evalkit.scoring import Measured
from evalkit.stats import (
    Additive,
    Interval,
    PairedTest,
    Proportion,
    Reducer,
    mcnemar,
    paired_interval,
    randomisation,
)
from evalkit.stats.bootstrap import FEW
from evalkit.stats.matched_pairs import matched_pairs
from evalkit.stats.reducers import Matrix, Vector
from evalkit.stats.seeds import mean_over_seeds, over_seeds_and_samples

LEVEL = 0.95
POWER = 0.8


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """The values of every training seed.

    low, high: 95 % interval of the mean of their differences, over seeds and samples together; over the seeds
    alone where the samples have none.
    """

    seeds: tuple[int, ...]
    first: tuple[float, ...]
    second: tuple[float, ...]
    low: float | None
    high: float | None
    note: str


@dataclass(frozen=True, slots=True)
class Difference:
    """Second minus first, each the mean over its training seeds.

    low, high: 95 % bootstrap interval over samples or clusters, of these models; p: of `test`, over `units` of them;
    error: standard error, from the interval's width, None for fewer than 10 units;
    effect: difference by the spread of one unit (Cohen's d_z, Lakens 2013, equation 7);
    relative: difference by the first's value;
    wins, ties, losses: samples on which the second is better, equal, worse, none for a metric without
    a value for a single sample; also: further tests, which decide nothing.
    """

    metric: str
    higher_is_better: bool
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    p: float
    test: str
    units: int
    error: float | None
    effect: float | None
    relative: float | None
    wins: int | None
    ties: int | None
    losses: int | None
    spread: SeedSpread
    note: str
    also: tuple[PairedTest, ...] = ()

    @property
    def gain(self) -> float:
        """The difference with the sign that makes better positive."""
        return self.difference if self.higher_is_better else -self.difference

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The interval to show: over the training seeds too, where there are several."""
        several = len(self.spread.seeds) > 1
        return (self.spread.low, self.spread.high) if several else (self.low, self.high)

    def holds(self, tests: int) -> bool:
        """Whether another training of both arms may be expected to say the same: the interval over seeds and
        samples, at 1 - 0.05 / `tests`, is on one side of 0. True for a single seed, which cannot tell.
        """
        if len(self.spread.seeds) < 2:
            return True
        found = _over_seeds(self, 1 - 0.05 / tests)
        return found.low is not None and found.high is not None and not found.low <= 0 <= found.high

    def detectable(self, tests: int) -> float | None:
        """The smallest true difference that this many units show with a probability of 80 %.

        Two-sided at 0.05 over `tests` tests at once, by the normal approximation (Cohen 1988, chapter 2).
        """
        if self.error is None:
            return None
        normal = NormalDist()
        return (normal.inv_cdf(1 - 0.05 / (2 * tests)) + normal.inv_cdf(POWER)) * self.error


def paired_difference(
    key: str,
    first: Sequence[Measured],
    second: Sequence[Measured],
    seeds: Sequence[int],
    *,
    seed: int,
) -> Difference:
    """Compare two arms, each measured once for every one of `seeds`, on the same samples in the same order.

    p is exact McNemar's for a proportion of single samples, else from a paired randomisation that exchanges
    whole clusters; `seed` is that of the resampling.
    """
    base = first[0]
    scorer = mean_over_seeds(base.scorer, len(seeds))
    ones, others = (np.hstack([one.statistics for one in arm]) for arm in (first, second))
    test = _test(scorer, ones, others, base.clusters, seed)
    bounds = paired_interval(scorer, others, ones, base.clusters, level=LEVEL, seed=seed)
    values = [value_of_all(scorer, statistics) for statistics in (ones, others)]
    spread = _spread(first, second, seeds, bounds)
    error = _error(bounds, test.units)
    wins, ties, losses = _wins(scorer, ones, others, higher=base.metric.higher_is_better)
    return Difference(
        metric=key,
        higher_is_better=base.metric.higher_is_better,
        first=values[0],
        second=values[1],
        difference=test.difference,
        low=bounds.low,
        high=bounds.high,
        p=test.p,
        test=test.method,
        units=test.units,
        error=error,
        effect=test.difference / (error * math.sqrt(test.units)) if error else None,
        relative=test.difference / abs(values[0]) if values[0] else None,
        wins=wins,
        ties=ties,
        losses=losses,
        spread=spread,
        note=bounds.note,
        also=_also(first, second),
    )


def value_of_all(scorer: Reducer, statistics: Matrix) -> float:
    """The corpus value of statistics [n, k], every sample once."""
    return float(scorer.reduce(statistics, np.ones((1, len(statistics))))[0])


def sample_values(scorer: Reducer, statistics: Matrix) -> Vector | None:
    """The metric's value on every sample alone, [n]; None where a single sample has none."""
    return scorer.value(scorer.totals(statistics)) if isinstance(scorer, Additive) else None


def _test(
    scorer: Reducer, first: Matrix, second: Matrix, clusters: Sequence[str] | None, seed: int
) -> PairedTest:
    if clusters is None and isinstance(scorer, Proportion):
        return mcnemar(scorer.successes(second), scorer.successes(first))
    return randomisation(scorer, second, first, clusters, seed=seed)


def _also(first: Sequence[Measured], second: Sequence[Measured]) -> tuple[PairedTest, ...]:
    """For error rates the test that speech recognition is used to."""
    if not isinstance(first[0].scorer, EditRate):
        return ()
    ones, others = (np.sum([one.statistics[:, 0] for one in arm], axis=0) for arm in (first, second))
    return (matched_pairs(others, ones, first[0].clusters),)


def _error(bounds: Interval, units: int) -> float | None:
    """The standard error behind a 95 % interval; None where the interval is missing, too narrow or a point."""
    if bounds.low is None or bounds.high is None or bounds.low == bounds.high or units < FEW:
        return None
    return (bounds.high - bounds.low) / (2 * NormalDist().inv_cdf((1 + LEVEL) / 2))


def _wins(
    scorer: Reducer, first: Matrix, second: Matrix, *, higher: bool
) -> tuple[int, int, int] | tuple[None, None, None]:
    one, other = sample_values(scorer, first), sample_values(scorer, second)
    if one is None or other is None:
        return None, None, None
    gains: NDArray[np.float64] = other - one if higher else one - other
    # Means over seeds may differ by rounding alone.
    wins, losses = int((gains > 1e-12).sum()), int((gains < -1e-12).sum())
    return wins, len(gains) - wins - losses, losses


def _spread(
    first: Sequence[Measured], second: Sequence[Measured], seeds: Sequence[int], samples: Interval
) -> SeedSpread:
    ones, others = (tuple(value_of_all(m.scorer, m.statistics) for m in arm) for arm in (first, second))
    gaps = [other - one for one, other in zip(ones, others, strict=True)]
    found = over_seeds_and_samples(gaps, samples.low, samples.high, level=LEVEL)
    return SeedSpread(tuple(seeds), ones, others, found.low, found.high, found.note)


def _over_seeds(found: Difference, level: float) -> Interval:
    """Of the mean difference, over seeds and samples; the samples' part is stretched as a normal one is."""
    gaps = [other - one for one, other in zip(found.spread.first, found.spread.second, strict=True)]
    if found.low is None or found.high is None:
        return over_seeds_and_samples(gaps, None, None, level=level)
    normal = NormalDist()
    stretch = normal.inv_cdf((1 + level) / 2) / normal.inv_cdf((1 + LEVEL) / 2)
    low, high = (found.difference + stretch * (end - found.difference) for end in (found.low, found.high))
    return over_seeds_and_samples(gaps, low, high, level=level)

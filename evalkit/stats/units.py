"""What a bootstrap draws: clusters or single samples, equal ones merged.

Drawing G units with replacement is a multinomial; units with the same contribution fall together
into one cell of it with the sum of their probabilities. That is exact, not an approximation, and makes
100,000 utterances with a few hundred different (errors, words) pairs as cheap as a few hundred units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.reducers import Additive, Matrix, Reducer, Vector

_CHUNK = 4_000_000
_MULTINOMIAL_COST = 10
"""One binomial of a multinomial draw costs about as much as this many uniform integer draws."""


@dataclass(frozen=True, slots=True)
class Units:
    """`copies[d]` units (of `sum(copies)` in all) share the contribution d.

    totals [D, m] of an additive scorer; otherwise `statistics` [n, k] and `member` [n], the d of each row.
    """

    scorer: Reducer
    copies: NDArray[np.int64]
    totals: Matrix | None
    statistics: Matrix
    member: NDArray[np.int64]

    @property
    def count(self) -> int:
        return int(self.copies.sum())

    @property
    def width(self) -> int:
        """Numbers that one resample needs."""
        return max(len(self.copies), len(self.member), self.count // _MULTINOMIAL_COST)

    def values(self, weights: Matrix) -> Vector:
        """Corpus values [B] for weights [B, D] (how many units of each kind were drawn)."""
        if self.totals is not None and isinstance(self.scorer, Additive):
            return self.scorer.value(weights @ self.totals)
        return self.scorer.reduce(self.statistics, weights[:, self.member])

    def observed(self) -> float:
        return float(self.values(self.copies[None, :].astype(np.float64))[0])

    def resampled(self, resamples: int, rng: np.random.Generator) -> Vector:
        """Corpus values of `resamples` bootstrap resamples, in chunks of bounded memory."""
        parts = [self.values(_draw(self.copies, size, rng)) for size in chunks(resamples, self.width)]
        return np.concatenate(parts)

    def leave_one_out(self) -> Vector:
        """Jackknife values [D]: the corpus without one unit of each kind."""
        if self.totals is not None and isinstance(self.scorer, Additive):
            return self.scorer.value(self.copies @ self.totals - self.totals)
        parts, start = [], 0
        for size in chunks(len(self.copies), self.width):
            weights = np.tile(self.copies.astype(np.float64), (size, 1))
            weights[np.arange(size), np.arange(start, start + size)] -= 1
            parts.append(self.values(weights))
            start += size
        return np.concatenate(parts)


def units(scorer: Reducer, statistics: Matrix, clusters: Sequence[str] | None) -> Units:
    """The units of statistics [n, k]; `clusters` names the unit of each row, None: each row its own."""
    if len(statistics) == 0:
        raise ValueError("cannot resample no samples")
    if clusters is None:
        rows, copies = np.unique(statistics, axis=0, return_counts=True)
        totals = scorer.totals(rows) if isinstance(scorer, Additive) else None
        return Units(scorer, copies, totals, rows, np.arange(len(rows)))
    index = cluster_index(clusters, len(statistics))
    if isinstance(scorer, Additive):
        totals, copies = np.unique(cluster_sums(scorer, statistics, index), axis=0, return_counts=True)
        return Units(scorer, copies, totals, statistics[:0], index[:0])
    return Units(scorer, np.ones(int(index.max()) + 1, dtype=np.int64), None, statistics, index)


def cluster_index(clusters: Sequence[str] | None, count: int) -> NDArray[np.int64]:
    """The number of each sample's cluster, clusters in the order of their names; None: every sample its own."""
    if clusters is None:
        return np.arange(count)
    if len(clusters) != count:
        raise ValueError(f"{len(clusters)} cluster names for {count} samples")
    numbers: dict[str, int] = {name: number for number, name in enumerate(sorted(set(clusters)))}
    return np.array([numbers[name] for name in clusters], dtype=np.int64)


def cluster_sums(scorer: Additive, statistics: Matrix, index: NDArray[np.int64]) -> Matrix:
    """Sums of the additive columns of every cluster, [clusters, m]."""
    count = int(index.max()) + 1
    order = np.argsort(index, kind="stable")
    columns = scorer.totals(statistics[:1]).shape[1]
    sums = np.zeros((count, columns))
    rows = max(1, _CHUNK // columns)
    for start in range(0, len(order), rows):
        part = order[start : start + rows]
        owner = index[part]
        firsts = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
        sums[owner[firsts]] += np.add.reduceat(scorer.totals(statistics[part]), firsts, axis=0)
    return sums


def chunks(total: int, width: int) -> Iterator[int]:
    """Sizes that sum to `total`, each so small that `width` numbers for every item fit in memory."""
    size = max(1, _CHUNK // max(width, 1))
    for start in range(0, total, size):
        yield min(size, total - start)


def _draw(copies: NDArray[np.int64], size: int, rng: np.random.Generator) -> Matrix:
    """How many units of each kind `sum(copies)` draws with replacement take, [size, D]."""
    kinds, count = len(copies), int(copies.sum())
    if kinds * _MULTINOMIAL_COST < count:
        return rng.multinomial(count, copies / count, size=size).astype(np.float64)
    kind = np.repeat(np.arange(kinds), copies)
    weights = np.empty((size, kinds))
    for row in weights:
        row[:] = np.bincount(kind[rng.integers(0, count, size=count, dtype=np.int32)], minlength=kinds)
    return weights

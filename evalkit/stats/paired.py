"""Paired tests: two systems that answered the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.bootstrap import RESAMPLES, Interval, Method, interval
from evalkit.stats.reducers import Additive, Matrix, Reducer, Vector, difference
from evalkit.stats.units import chunks, cluster_index, cluster_sums

_EXACT_UNITS = 13
"""Up to this many units all 2^units exchanges are tried instead of random ones."""


@dataclass(frozen=True, slots=True)
class PairedTest:
    """difference: value of the first system minus that of the second; p two-sided; units: what was exchanged."""

    difference: float
    p: float
    method: str
    units: int


def paired_interval(
    scorer: Reducer,
    first: Matrix,
    second: Matrix,
    clusters: Sequence[str] | None,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int,
    method: Method = "percentile",
) -> Interval:
    """Bootstrap interval of first minus second: both systems on the same resampled samples or clusters."""
    _check(first, second)
    both = np.hstack([first, second])
    scorer = difference(scorer, first.shape[1])
    return interval(scorer, both, clusters, level=level, resamples=resamples, seed=seed, method=method)


def randomisation(
    scorer: Reducer,
    first: Matrix,
    second: Matrix,
    clusters: Sequence[str] | None,
    *,
    resamples: int = RESAMPLES,
    seed: int,
) -> PairedTest:
    """Paired approximate randomisation (Noreen 1989; Riezler and Maxwell 2005), two-sided.

    Under the null hypothesis the two answers to a sample are exchangeable, so both systems' answers are
    swapped for every sample, or every whole cluster, with probability 1/2. p = (1 + hits) / (1 + resamples),
    hits being the swaps with a difference at least as large as the observed one; with at most 13 units all
    swaps are tried and p is their exact share.
    """
    _check(first, second)
    index = cluster_index(clusters, len(first))
    count = int(index.max()) + 1
    swapper = _AdditiveSwap.of(scorer, first, second, index) if isinstance(scorer, Additive) else None
    swap = swapper or _Swap(scorer, first, second, index)
    observed = float(swap.differences(np.zeros((1, swap.kinds)))[0])
    threshold = abs(observed) * (1 - 1e-9)
    if count <= _EXACT_UNITS:
        every = ((np.arange(2**count)[:, None] >> np.arange(count)) & 1).astype(np.float64)
        found = _Swap(scorer, first, second, index).differences(every)
        return PairedTest(observed, float((np.abs(found) >= threshold).mean()), "exact randomisation", count)
    rng = np.random.default_rng(seed)
    hits = 0
    for size in chunks(resamples, swap.width):
        hits += int((np.abs(swap.differences(swap.draw(size, rng))) >= threshold).sum())
    return PairedTest(observed, (1 + hits) / (1 + resamples), "approximate randomisation", count)


def mcnemar(first: Vector, second: Vector) -> PairedTest:
    """Exact McNemar test of two vectors of right (1) and wrong (0) answers to the same independent samples.

    The samples that one system alone got right are a fair coin under the null hypothesis (McNemar 1947).
    """
    from scipy.stats import binomtest

    _check(first, second)
    won, lost = int(((first > 0) & (second == 0)).sum()), int(((first == 0) & (second > 0)).sum())
    p = float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
    return PairedTest(float(first.mean() - second.mean()), p, "exact McNemar", len(first))


@dataclass(frozen=True, slots=True)
class _Swap:
    """Exchanges by sample weights, for any scorer."""

    scorer: Reducer
    first: Matrix
    second: Matrix
    index: NDArray[np.int64]

    @property
    def kinds(self) -> int:
        return int(self.index.max()) + 1

    @property
    def width(self) -> int:
        return 2 * len(self.first)

    def draw(self, size: int, rng: np.random.Generator) -> Matrix:
        return rng.integers(0, 2, size=(size, self.kinds)).astype(np.float64)

    def differences(self, swapped: Matrix) -> Vector:
        """Differences [B] for swapped [B, units]: 1 where the two answers change places."""
        rows = np.vstack([self.first, self.second])
        parts = []
        start = 0
        for size in chunks(len(swapped), self.width):
            moved = swapped[start : start + size][:, self.index]
            there = np.hstack([1 - moved, moved])
            parts.append(self.scorer.reduce(rows, there) - self.scorer.reduce(rows, 1 - there))
            start += size
        return np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class _AdditiveSwap:
    """Exchanges of summed columns; units whose exchange moves the same amount are merged.

    moves [D, m]: what an exchange adds to the first system's columns; copies [D]: how many units do so.
    """

    scorer: Additive
    totals: tuple[Vector, Vector]
    moves: Matrix
    copies: NDArray[np.int64]

    @staticmethod
    def of(scorer: Additive, first: Matrix, second: Matrix, index: NDArray[np.int64]) -> _AdditiveSwap:
        one, two = cluster_sums(scorer, first, index), cluster_sums(scorer, second, index)
        moves, copies = np.unique(two - one, axis=0, return_counts=True)
        return _AdditiveSwap(scorer, (one.sum(axis=0), two.sum(axis=0)), moves, copies)

    @property
    def kinds(self) -> int:
        return len(self.copies)

    @property
    def width(self) -> int:
        return self.kinds

    def draw(self, size: int, rng: np.random.Generator) -> Matrix:
        return rng.binomial(self.copies, 0.5, size=(size, self.kinds)).astype(np.float64)

    def differences(self, swapped: Matrix) -> Vector:
        """Differences [B] for swapped [B, D]: how many units of each kind change places."""
        moved = swapped @ self.moves
        one, two = self.totals
        return self.scorer.value(one + moved) - self.scorer.value(two - moved)


def _check(first: NDArray[np.float64], second: NDArray[np.float64]) -> None:
    if first.shape != second.shape or len(first) == 0:
        raise ValueError(f"paired systems need the same samples: {first.shape} against {second.shape}")

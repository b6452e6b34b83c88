"""Intervals of corpus values: bootstrap over samples or clusters, and Wilson's for a plain proportion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from evalkit.stats.reducers import Matrix, Reducer, Vector
from evalkit.stats.units import Units, units

Method = Literal["percentile", "bca"]

FEW = 10
RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval. `clusters` is 0 where samples were drawn singly; `note` holds warnings."""

    low: float | None
    high: float | None
    method: str
    clusters: int = 0
    note: str = ""


def interval(
    scorer: Reducer,
    statistics: Matrix,
    clusters: Sequence[str] | None,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int,
    method: Method = "percentile",
) -> Interval:
    """Bootstrap interval of the corpus value of statistics [n, k].

    Whole clusters are drawn with replacement where `clusters` names one for each sample (Davison and
    Hinkley 1997, section 3.8). `percentile` takes the quantiles of the resampled values; `bca` corrects
    them for bias and skewness (Efron 1987). Refused (low and high None, the note says why) for a single
    unit; with fewer than 10 the note says so. Seeded, independent of the order of the samples.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    if method not in ("percentile", "bca"):
        raise ValueError(f"unknown interval method {method!r}: percentile or bca")
    drawn = units(scorer, statistics, clusters)
    count = drawn.count if clusters is not None else 0
    kind = "sample" if clusters is None else "cluster"
    if drawn.count < 2:
        return Interval(None, None, "", count, f"no interval: only one {kind}")
    values = drawn.resampled(resamples, np.random.default_rng(seed))
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return Interval(None, None, "", count, "no interval: no resample has a value")
    low, high = _bounds(drawn, finite, level, method)
    note = _note(drawn.count, kind, resamples - len(finite), bool(np.ptp(finite) == 0))
    return Interval(low, high, f"{method} bootstrap", count, note)


def wilson(successes: float, n: int, *, level: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion of independent samples (Wilson 1927)."""
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} samples is no proportion")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    note = "" if n >= FEW else f"only {n} sample{'s' if n > 1 else ''}"
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high, "wilson", note=note)


def _bounds(drawn: Units, values: Vector, level: float, method: Method) -> tuple[float, float]:
    tails = ((1 - level) / 2, (1 + level) / 2)
    if method == "bca" and np.ptp(values) > 0:
        tails = _bca_tails(drawn, values, tails)
    low, high = np.quantile(values, tails)
    return float(low), float(high)


def _bca_tails(drawn: Units, values: Vector, tails: tuple[float, float]) -> tuple[float, float]:
    """Corrected tail probabilities (Efron and Tibshirani 1993, equations 14.10, 14.14 and 14.15)."""
    normal = NormalDist()
    observed = drawn.observed()
    below = ((values < observed).mean() + (values <= observed).mean()) / 2
    edge = 0.5 / len(values)
    bias = normal.inv_cdf(min(max(float(below), edge), 1 - edge))
    left_out = drawn.leave_one_out()
    copies = np.where(np.isfinite(left_out), drawn.copies, 0)
    left_out = np.where(np.isfinite(left_out), left_out, 0.0)
    gaps = (copies @ left_out) / copies.sum() - left_out
    spread = float(copies @ gaps**2)
    skew = float(copies @ gaps**3) / (6 * spread**1.5) if spread > 0 else 0.0

    def corrected(tail: float) -> float:
        shifted = bias + normal.inv_cdf(tail)
        return normal.cdf(bias + shifted / (1 - skew * shifted))

    return corrected(tails[0]), corrected(tails[1])


def _note(count: int, kind: str, undefined: int, constant: bool) -> str:
    notes = []
    if count < FEW:
        notes.append(f"only {count} {kind}s: the interval is too narrow")
    if undefined:
        notes.append(f"{undefined} resamples had no value")
    if constant:
        notes.append("every resample gives the same value")
    return "; ".join(notes)

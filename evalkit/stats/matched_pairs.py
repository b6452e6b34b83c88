"""The matched-pairs test of speech recognition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from evalkit.stats.paired import PairedTest
from evalkit.stats.reducers import Vector
from evalkit.stats.units import cluster_index


def matched_pairs(first: Vector, second: Vector, clusters: Sequence[str] | None) -> PairedTest:
    """Matched-pairs test of two systems' error counts on the same segments (Gillick and Cox, ICASSP 1989).

    first, second: errors [n]; a segment is a sample, or a whole cluster where `clusters` names them, since
    segments must be independent. `difference` is in errors a segment. Two-sided, by the normal
    approximation, so for some dozens of segments or more.
    """
    if first.shape != second.shape or len(first) == 0:
        raise ValueError(f"paired systems need the same samples: {first.shape} against {second.shape}")
    gaps = np.bincount(cluster_index(clusters, len(first)), weights=first - second)
    mean = float(gaps.mean())
    spread = float(gaps.std(ddof=1)) if len(gaps) > 1 else 0.0
    if spread == 0.0:
        # Equal everywhere, or nothing to judge by: a spread of none says nothing about other segments.
        return PairedTest(mean, 1.0, "matched pairs", len(gaps))
    z = mean / (spread / math.sqrt(len(gaps)))
    return PairedTest(mean, 2 * NormalDist().cdf(-abs(z)), "matched pairs", len(gaps))

"""Whether families stand apart in the projector's output: two principal components, and a linear probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit import metrics
from evalkit.stats import Interval, interval

Floats = NDArray[np.float64]

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Probe:
    """uar: mean recall over the labels, of clips whose unit the probe has not seen; chance: 1 / labels."""

    uar: float
    bounds: Interval
    chance: float
    folds: int


def principal_components(points: Floats) -> tuple[Floats, tuple[float, float]]:
    """(places [n, 2], shares of the variance) along the first two principal components of points [n, d].

    The sign of a component is the one that makes its largest weight positive.
    """
    centred = points - points.mean(axis=0)
    left, scales, right = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(right[:2][np.arange(2), np.abs(right[:2]).argmax(axis=1)])
    total = float(np.square(scales).sum()) or 1.0
    shares = np.square(scales[:2]) / total
    return left[:, :2] * scales[:2] * signs, (float(shares[0]), float(shares[1]))


def linear_probe(points: Floats, labels: Sequence[str], units: Sequence[str], *, seed: int) -> Probe | None:
    """Logistic regression on standardised points [n, d], cross-validated over whole units.

    None where there are fewer than two labels, or a label has fewer than two units. The interval resamples
    units and so holds the fitted probes fixed.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names = sorted(set(labels))
    fewest = min(len({u for u, name in zip(units, labels, strict=True) if name == one}) for one in names)
    folds = min(FOLDS, fewest)
    if len(names) < 2 or folds < 2:
        return None
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    found = cross_val_predict(probe, points, np.array(labels), groups=np.array(units), cv=split)
    scorer = metrics.get("uar", {"normalizer": "none"}).fit([(label,) for label in labels])
    statistics = scorer.statistics([(label,) for label in labels], [str(one) for one in found])
    value = float(scorer.reduce(statistics, np.ones((1, len(statistics))))[0])
    return Probe(value, interval(scorer, statistics, list(units), seed=seed), 1 / len(names), folds)

"""What a metric is: per-sample statistics and the reduction that turns them into a corpus value.

A scorer may also speak `evalkit.stats.Additive` (its value depends on weighted sums alone, which makes
resampling cheap) or `evalkit.stats.Proportion` (its value is a share of samples).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalkit.results.record import Prediction

    Statistics = NDArray[np.float64]
    Weights = NDArray[np.float64]

References = Sequence[Sequence[str]]
Answers = Sequence[str | None]


class Scorer(Protocol):
    """A metric fitted to a set of references."""

    def statistics(self, references: References, answers: Answers) -> Statistics:
        """Sufficient statistics, float64 [n, k]; an answer of None (no answer) counts as wrong."""
        ...

    def reduce(self, statistics: Statistics, weights: Weights) -> NDArray[np.float64]:
        """Corpus values [B] for sample weights [B, n] (how often each sample was drawn)."""
        ...


class Metric(Protocol):
    """A metric. `version` is part of the scoring fingerprint: raise it when values change."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...

    @property
    def higher_is_better(self) -> bool: ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every option with its value in force, as JSON; with `version` part of the scoring fingerprint."""
        ...

    def fit(self, references: References) -> Scorer:
        """Learn what needs all references: document frequencies, the label set."""
        ...


@runtime_checkable
class ReadsPredictions(Protocol):
    """A metric whose answers are more than the extracted text: a score from choice log-likelihoods, say."""

    def answer(self, prediction: Prediction) -> str | None: ...

    def right(self, accepted: Sequence[str]) -> str:
        """An answer that could not be better, to a sample with these references."""
        ...


@runtime_checkable
class NeedsWeights(Protocol):
    """A metric whose statistics need weights that are fetched once."""

    def fetch(self) -> None:
        """Bring them into the cache, or find them there. Raises ArtifactError with what to do if it cannot."""
        ...

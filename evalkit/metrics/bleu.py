"""Corpus BLEU (Papineni et al. 2002) by sacrebleu, 0 to 100."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalkit.metrics import options as check
from evalkit.metrics.protocol import Answers, References
from evalkit.stats.reducers import Matrix, Vector, reduce_additive
from evalkit.text import unknown

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

TOKENIZERS = ("13a", "char", "intl", "none", "zh")
_ORDERS = 4


@dataclass(frozen=True, slots=True)
class Bleu:
    """Metric and scorer in one; sacrebleu's defaults (exponential smoothing, closest reference length).

    Statistics [n, 10]: answer length, reference length, matches of orders 1 to 4, n-grams of orders 1 to 4.
    None counts as an empty answer.
    """

    tokenize: str
    lowercase: bool
    name: str = "bleu"
    version: int = 1
    higher_is_better: bool = True

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"tokenize": self.tokenize, "lowercase": self.lowercase, "smooth": "exp"}

    def fit(self, references: References) -> Bleu:
        return self

    def statistics(self, references: References, answers: Answers) -> Matrix:
        from sacrebleu.metrics.bleu import BLEU

        bleu = BLEU(tokenize=self.tokenize, lowercase=self.lowercase, effective_order=True)
        rows = [
            _counts(bleu, answer or "", accepted)
            for accepted, answer in zip(references, answers, strict=True)
        ]
        return np.array(rows, dtype=np.float64).reshape(len(rows), 2 + 2 * _ORDERS)

    def reduce(self, statistics: Matrix, weights: Matrix) -> Vector:
        return reduce_additive(self, statistics, weights)

    def totals(self, statistics: Matrix) -> Matrix:
        return statistics

    def value(self, totals: Matrix) -> Vector:
        """Geometric mean of the precisions times the brevity penalty; 0 without a match or an n-gram.

        The k-th precision without a match counts as 1 / (2^k * n-grams) (NIST's mteval-v13a.pl).
        """
        length, wanted = totals[:, 0], totals[:, 1]
        matches, grams = totals[:, 2 : 2 + _ORDERS], totals[:, 2 + _ORDERS :]
        found: NDArray[np.bool_] = np.all(grams > 0, axis=1) & np.any(matches > 0, axis=1)
        smoothed = np.where(matches > 0, matches, 0.5 ** np.cumsum(matches == 0, axis=1))
        precision = np.where(found[:, None], smoothed / np.maximum(grams, 1e-300), 1.0)
        penalty = np.exp(np.minimum(0.0, 1 - wanted / np.where(length > 0, length, 1.0)))
        scores: Vector = 100 * penalty * np.exp(np.log(precision).mean(axis=1))
        return np.where(found, scores, 0.0)


def bleu(options: Mapping[str, Any]) -> Bleu:
    """Options: tokenize (13a, char, intl, none, zh; default 13a), lowercase (default false)."""
    check.known("bleu", options, ("tokenize", "lowercase"))
    tokenize, lowercase = options.get("tokenize", "13a"), options.get("lowercase", False)
    if tokenize not in TOKENIZERS:
        raise ValueError(unknown("tokenize of metric bleu", tokenize, TOKENIZERS))
    if not isinstance(lowercase, bool):
        raise ValueError(f"metric bleu: lowercase must be true or false, not {lowercase!r}")
    return Bleu(tokenize, lowercase)


def _counts(bleu: BLEU, answer: str, references: Sequence[str]) -> list[float]:
    if not references:
        raise ValueError("a sample has no reference")
    score = bleu.sentence_score(answer, list(references))
    return [score.sys_len, score.ref_len, *score.counts, *score.totals]

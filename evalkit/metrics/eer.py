"""Equal error rate of a detector: where misses are as frequent as false alarms."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.metrics import options as check
from evalkit.metrics.labels import label_key
from evalkit.metrics.protocol import Answers, References
from evalkit.stats.reducers import Matrix, Vector
from evalkit.text import versioned

if TYPE_CHECKING:
    from evalkit.results.record import Prediction


@dataclass(frozen=True, slots=True)
class EER:
    """Metric and scorer in one. An answer is a score, higher for `positive`, as text ("0.83").

    Statistics: (score, 1 for a reference that is `positive`, else 0). An answer that is no finite number
    is put on the wrong side of every threshold. Needs references of both kinds (ValueError).
    """

    positive: str
    normalizer: str = "lower_no_punct"
    name: str = "eer"
    version: int = 1
    higher_is_better: bool = False

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"positive": self.positive, "normalizer": versioned(self.normalizer)}

    def answer(self, prediction: Prediction) -> str | None:
        """The log-odds of `positive` where choices were weighed, else the answer itself."""
        entry, key = prediction.entry, label_key(self.normalizer)
        logprobs = entry.response.choice_logprobs
        if prediction.answer is None or len(logprobs) != len(entry.choices) or not logprobs:
            return prediction.answer
        wanted = [key(choice) == key(self.positive) for choice in entry.choices]
        chosen = _log_sum([p for p, is_wanted in zip(logprobs, wanted, strict=True) if is_wanted])
        others = _log_sum([p for p, is_wanted in zip(logprobs, wanted, strict=True) if not is_wanted])
        return repr(chosen - others)

    def right(self, accepted: Sequence[str]) -> str:
        """A score beyond every threshold, on the right side."""
        return repr(sys.float_info.max if self._is_positive(accepted) else -sys.float_info.max)

    def fit(self, references: References) -> EER:
        kinds = {self._is_positive(accepted) for accepted in references}
        if len(kinds) < 2:
            missing = "is" if kinds == {False} else "differs from"
            raise ValueError(f"metric eer: no reference {missing} the positive label {self.positive!r}")
        return self

    def statistics(self, references: References, answers: Answers) -> Matrix:
        rows = []
        for accepted, answer in zip(references, answers, strict=True):
            positive = self._is_positive(accepted)
            rows.append((_score(answer, -math.inf if positive else math.inf), float(positive)))
        return np.array(rows, dtype=np.float64).reshape(len(rows), 2)

    def reduce(self, statistics: Matrix, weights: Matrix) -> Vector:
        """Crossing of the miss and false-alarm rates, both linear between thresholds; NaN without both kinds."""
        order = np.argsort(-statistics[:, 0], kind="stable")
        score, positive = statistics[order].T
        last_of_tie = np.append(score[1:] != score[:-1], True)
        misses = 1 - _rates(weights[:, order] * positive, last_of_tie)
        alarms = _rates(weights[:, order] * (1 - positive), last_of_tie)
        gap = misses - alarms
        after = np.argmax(gap <= 0, axis=1)
        row = np.arange(len(gap))
        share = gap[row, after - 1] / (gap[row, after - 1] - gap[row, after])
        before = alarms[row, after - 1]
        crossing: Vector = before + share * (alarms[row, after] - before)
        return np.where(np.isnan(gap[:, -1]), np.nan, crossing)

    def _is_positive(self, accepted: Sequence[str]) -> bool:
        key = label_key(self.normalizer)
        if not accepted:
            raise ValueError("a sample has no reference")
        return key(accepted[0]) == key(self.positive)


def eer(options: Mapping[str, Any]) -> EER:
    """Options: positive, the reference label that high scores stand for (default `same`); normalizer, by which
    labels are compared (default `lower_no_punct`).
    """
    check.known("eer", options, ("positive", "normalizer"))
    positive = options.get("positive", "same")
    if not isinstance(positive, str) or not positive.strip():
        raise ValueError(f"metric eer: positive must be a label, not {positive!r}")
    return EER(positive, check.normalizer("eer", options, "lower_no_punct"))


def _score(answer: str | None, otherwise: float) -> float:
    try:
        score = float(answer) if answer is not None else math.nan
    except ValueError:
        return otherwise
    return score if math.isfinite(score) else otherwise


def _log_sum(logprobs: list[float]) -> float:
    top = max(logprobs, default=-math.inf)
    return top + math.log(sum(math.exp(p - top) for p in logprobs)) if math.isfinite(top) else top


def _rates(weights: Matrix, ends: Any) -> Matrix:
    """Share of the weight at or above every threshold, [B, 1 + thresholds], from 0 to 1."""
    summed = np.cumsum(weights, axis=1)
    with np.errstate(invalid="ignore"):
        shares = summed[:, ends] / summed[:, -1:]
    return np.hstack([np.zeros((len(weights), 1)), shares])

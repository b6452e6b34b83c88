"""How far failures can have moved a value: what it would be with all of them wrong, and with all right.

Worst-case bounds under missing outcomes (Manski, Am. Econ. Rev. 80, 1990): no assumption about why an answer
failed, so they hold however failures came about.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evalkit.metrics import Answers, ReadsPredictions
from evalkit.results.record import MetricValue, Prediction
from evalkit.scoring.measured import Measured


def with_bounds(value: MetricValue, measured: Measured, predictions: Sequence[Prediction]) -> MetricValue:
    """`value` with `worst` and `best`; as it is where every prediction is ok.

    Wrong is no answer at all, right the first reference. A truncated answer counts by what it says in the
    value itself, and as failed in both bounds, which always enclose the value.
    """
    failed = [place for place, prediction in enumerate(predictions) if prediction.status != "ok"]
    if not failed:
        return value
    accepted = [predictions[place].entry.references for place in failed]
    metric = measured.metric
    right = [
        metric.right(references) if isinstance(metric, ReadsPredictions) else references[0]
        for references in accepted
    ]
    ends = [
        value.value,
        *(_value(measured, failed, accepted, said) for said in ([None] * len(failed), right)),
    ]
    known = sorted((end for end in ends if math.isfinite(end)), reverse=not value.higher_is_better)
    return value.model_copy(update={"worst": known[0], "best": known[-1]})


def _value(
    measured: Measured, failed: Sequence[int], accepted: Sequence[Sequence[str]], answers: Answers
) -> float:
    """The corpus value with these answers in the places of the failed ones."""
    statistics = measured.statistics.copy()
    statistics[list(failed)] = measured.scorer.statistics(accepted, answers)
    return float(measured.scorer.reduce(statistics, np.ones((1, len(statistics))))[0])

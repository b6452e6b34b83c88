"""Bootstrap intervals, paired tests and multiple comparisons over per-sample statistics."""

from __future__ import annotations

from evalkit.stats.bootstrap import Interval, Method, interval, wilson
from evalkit.stats.multiple import holm
from evalkit.stats.paired import PairedTest, mcnemar, paired_interval, randomisation
from evalkit.stats.reducers import Additive, Proportion, Reducer, difference, reduce_additive

__all__ = [
    "Additive",
    "Interval",
    "Method",
    "PairedTest",
    "Proportion",
    "Reducer",
    "difference",
    "holm",
    "interval",
    "mcnemar",
    "paired_interval",
    "randomisation",
    "reduce_additive",
    "wilson",
]

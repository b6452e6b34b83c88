"""Bootstrap intervals, paired tests and multiple comparisons over per-sample statistics."""

from __future__ import annotations

from evalkit.stats.bootstrap import Interval, Method, interval, wilson
from evalkit.stats.reducers import Additive, Proportion, Reducer, difference, reduce_additive

__all__ = [
    "Additive",
    "Interval",
    "Method",
    "Proportion",
    "Reducer",
    "difference",
    "interval",
    "reduce_additive",
    "wilson",
]

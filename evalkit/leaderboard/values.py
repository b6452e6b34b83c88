"""How a metric and its value are written, everywhere alike.

Proportions (error rates, accuracies, F1, recall) are shown in percent with one decimal; everything
else as it is, with three decimals. An arrow says which way is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.results.record import MetricValue
from evalkit.tasks.schema import STATUSES

CAPTION = "Error rates, accuracies, F1 and recall in percent, [95 % interval]; ↓ lower is better, ↑ higher."
BOUNDS = "{worst, best}: the value if every answer that failed had been wrong, or right."
MISSING = "–"

_PERCENT = frozenset({"wer", "cer", "accuracy", "macro_f1", "uar", "eer", "exact_match"})
_NAMES = {
    "wer": "WER",
    "cer": "CER",
    "uar": "UAR",
    "eer": "EER",
    "macro_f1": "macro-F1",
    "cider": "CIDEr-D",
    "bleu": "BLEU",
    "rouge_l": "ROUGE-L",
    "sentence_similarity": "sentence similarity",
}


def metric_name(key: str) -> str:
    """`WER` for the key `wer,none`, `accuracy (letter)` for `accuracy,letter`."""
    metric, _, chain = key.partition(",")
    name = _NAMES.get(metric, metric)
    return name if chain in ("", "none") else f"{name} ({chain})"


def metric_label(key: str, higher_is_better: bool) -> str:
    """`WER % ↓` for the key `wer,none`; a filter other than `none` is added: `accuracy (letter) % ↑`."""
    percent = " %" if key.partition(",")[0] in _PERCENT else ""
    return f"{metric_name(key)}{percent} {'↑' if higher_is_better else '↓'}"


def value_text(key: str, value: float | None) -> str:
    """The number alone: `12.3` for a WER of 0.123, `0.412` for a CIDEr-D of 0.4118."""
    if value is None or value != value:
        return MISSING
    return f"{value * 100:.1f}" if key.partition(",")[0] in _PERCENT else f"{value:.3f}"


def interval_text(key: str, value: MetricValue) -> str:
    """`[10.1, 14.5]`, or nothing where there is no interval."""
    if value.low is None or value.high is None:
        return ""
    return f"[{value_text(key, value.low)}, {value_text(key, value.high)}]"


def bounds_text(key: str, value: MetricValue) -> str:
    """`{40.8, 48.7}`: with every failed answer wrong, and right; nothing where none failed."""
    if value.worst is None or value.best is None:
        return ""
    return f"{{{value_text(key, value.worst)}, {value_text(key, value.best)}}}"


def full_text(key: str, value: MetricValue) -> str:
    """`12.3 [10.1, 14.5]`, and the bounds where answers failed."""
    parts = (value_text(key, value.value), interval_text(key, value), bounds_text(key, value))
    return " ".join(part for part in parts if part)


def failures_text(counts: Mapping[Any, int]) -> str:
    """`2 truncated, 1 error`: every status but `ok` that occurred; nothing if all were ok."""
    return ", ".join(f"{counts[status]} {status}" for status in STATUSES[1:] if counts.get(status))

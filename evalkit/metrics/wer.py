"""Word error rate: substitutions, deletions and insertions over reference words, of the whole corpus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.metrics import options as check
from evalkit.metrics.edits import EditRate, words


def wer(options: Mapping[str, Any]) -> EditRate:
    """Options: normalizer (default `none`). Words are what white space separates."""
    check.known("wer", options, ("normalizer",))
    return EditRate("wer", words, check.normalizer("wer", options, "none"))

"""Character error rate: WER over characters, spaces among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.metrics import options as check
from evalkit.metrics.edits import EditRate, characters


def cer(options: Mapping[str, Any]) -> EditRate:
    """Options: normalizer (default `none`)."""
    check.known("cer", options, ("normalizer",))
    return EditRate("cer", characters, check.normalizer("cer", options, "none"))

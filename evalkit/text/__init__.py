"""Text normalisers and tokenisers that metrics use."""

from __future__ import annotations

from evalkit.text.normalizers import NORMALIZERS, Normalizer, normalize, versioned
from evalkit.text.ptb import ptb_tokens
from evalkit.text.suggest import unknown
from evalkit.text.visible import visible

__all__ = ["NORMALIZERS", "Normalizer", "normalize", "ptb_tokens", "unknown", "versioned", "visible"]

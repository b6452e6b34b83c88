"""Text normalisers and tokenisers that metrics use."""

from __future__ import annotations

from evalkit.text.normalizers import NORMALIZERS, Normalizer, normalize, versioned
from evalkit.text.suggest import unknown

__all__ = ["NORMALIZERS", "Normalizer", "normalize", "unknown", "versioned"]

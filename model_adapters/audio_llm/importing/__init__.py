"""Importing a projector checkpoint from elsewhere: read as plain tensors, matched by mapping file or shape."""

from __future__ import annotations

from model_adapters.audio_llm.importing.convert import ImportReport, import_checkpoint

__all__ = ["ImportReport", "import_checkpoint"]

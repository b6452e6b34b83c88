"""Audio LLMs made of a Whisper-style encoder, a dense or MoE projector and a language model.

Nothing heavy is imported until a model is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.model import Card, LoadOptions, Model
    from model_adapters.audio_llm.importing import ImportReport


def load(card: Card, options: LoadOptions) -> Model:
    """Loads the model that a card describes (entry-point group `evalkit.models`)."""
    from model_adapters.audio_llm import loading

    return loading.load(card, options)


def fetch(card: Card, options: LoadOptions) -> None:
    """Brings what `load` needs into the cache (entry-point group `evalkit.fetchers`)."""
    from model_adapters.audio_llm import loading

    loading.fetch(card, options)


def import_checkpoint(source: Path, name: str, output: Path, mapping: Path | None) -> ImportReport:
    """Makes a named model of a checkpoint from elsewhere (entry-point group `evalkit.importers`)."""
    from model_adapters.audio_llm import importing

    return importing.import_checkpoint(source, name, output, mapping)

"""Audio-text chat models of transformers, through their own processor and chat template."""

from __future__ import annotations

from model_adapters.hf_chat.loading import info, load, takes_audio

__all__ = ["info", "load", "takes_audio"]

"""Models behind a server that speaks OpenAI's HTTP API: chat completions with audio, and transcriptions."""

from __future__ import annotations

from model_adapters.openai_api.model import info, load

__all__ = ["info", "load"]

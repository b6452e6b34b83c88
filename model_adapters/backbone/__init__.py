"""The frozen parts of the audio LLMs: fetched, converted once, and kept in the cache."""

from model_adapters.backbone.sources import Backbone, resolve

__all__ = ["Backbone", "resolve"]

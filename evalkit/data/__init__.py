"""Where samples come from, and audio. Names are loaded when they are first used: listing tasks needs none."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalkit.data.audio import content_sha256, decode, part_sha256
    from evalkit.data.locate import at_hand
    from evalkit.data.opening import AudioError, duration
    from evalkit.data.overview import describe, validate
    from evalkit.data.sources import SampleSource, open_samples

_HOME = {
    "AudioError": "opening",
    "at_hand": "locate",
    "content_sha256": "audio",
    "decode": "audio",
    "duration": "opening",
    "describe": "overview",
    "validate": "overview",
    "part_sha256": "audio",
    "SampleSource": "sources",
    "open_samples": "sources",
}

__all__ = [
    "AudioError",
    "SampleSource",
    "at_hand",
    "content_sha256",
    "decode",
    "describe",
    "duration",
    "open_samples",
    "part_sha256",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

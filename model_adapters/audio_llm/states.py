"""Encoder states, computed once for every recording that is asked about more than once.

Questions about the same clip, tasks on the same clips, and models with the same frozen encoder share them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model_adapters.audio_llm.encoder import encode

# In fp32 nearly an hour and a half of speech at 512 values a frame, 50 frames a second.
LIMIT_BYTES = 512 * 2**20


class StateCache:
    """The most recently used states, up to `limit` bytes. Safe to use from several threads."""

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self._limit = limit
        self._held: OrderedDict[bytes, Tensor] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._bytes

    def get(self, key: bytes) -> Tensor | None:
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: bytes, states: Tensor) -> None:
        with self._lock:
            if key in self._held:
                return
            self._held[key] = states
            self._bytes += states.nbytes
            while self._bytes > self._limit:
                self._bytes -= self._held.popitem(last=False)[1].nbytes


@cache
def shared_cache(encoder: str) -> StateCache:
    """The cache of this process for an encoder, named by its weights, number format and device."""
    return StateCache()


def content_key(samples: NDArray[np.float32]) -> bytes:
    """A hash of what the encoder is given."""
    return hashlib.blake2b(np.ascontiguousarray(samples).data, digest_size=16).digest()


def encode_once(
    held: StateCache,
    encoder: Any,
    keys: Sequence[bytes],
    features: Callable[[int], Tensor],
    frames: Sequence[int],
) -> list[Tensor]:
    """Encoder states [frames_i, d] for each window, from the cache or, for windows met first, encoded now.

    features: [mels, frames] of the window at a place, asked for those that are encoded.
    """
    found: dict[bytes, Tensor] = {}
    new: dict[bytes, int] = {}
    for index, key in enumerate(keys):
        states = held.get(key)
        if states is None:
            new.setdefault(key, index)
        else:
            found[key] = states
    encoded = encode(encoder, [features(index) for index in new.values()])
    for (key, index), states in zip(new.items(), encoded, strict=True):
        # A copy, since the states are a view of the whole batch.
        found[key] = states[: frames[index]].clone()
        held.put(key, found[key])
    return [found[key] for key in keys]

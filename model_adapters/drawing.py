"""Sampling in foreign code, which draws from torch's own generator: one for all models of a process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_GENERATOR = threading.Lock()


@contextmanager
def drawn_by(seed: int) -> Iterator[None]:
    """While it lasts, what this thread draws depends on the seed alone: replicas in other threads wait."""
    import torch

    with _GENERATOR:
        torch.manual_seed(seed)
        yield

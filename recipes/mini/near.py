"""Find the same recording in two files, also at another level, trimmed or re-encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from recipes.mini.audio import RATE, Wave

FRAME = 400
HOP = 160
SKETCH_NEAR = 0.80
SAME = 0.60


def _trim(x: Wave) -> Wave:
    loud = np.flatnonzero(np.abs(x) > 0.02 * np.abs(x).max(initial=1e-9))
    return x[loud[0] : loud[-1] + 1] if loud.size else x


def sketch(x: Wave, bands: int = 24, columns: int = 24) -> NDArray[np.float32]:
    """Level-free log-spectrogram of the trimmed clip, stretched to a fixed size; unit length, shape [576]."""
    x = np.pad(_trim(x), (0, FRAME))
    frames = np.lib.stride_tricks.sliding_window_view(x, FRAME)[::HOP] * np.hanning(FRAME)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = np.unique(np.geomspace(3, power.shape[1], bands + 1).astype(int))
    banded = np.log(np.add.reduceat(power, edges[:-1], axis=1) + 1e-6)
    at = np.linspace(0, len(banded) - 1, columns)
    fixed = np.stack([np.interp(at, np.arange(len(banded)), b) for b in banded.T])
    fixed = (fixed - fixed.mean()).ravel()
    return np.asarray(fixed / max(float(np.linalg.norm(fixed)), 1e-9), dtype=np.float32)


def correlation(a: Wave, b: Wave) -> float:
    """Largest normalised cross-correlation over all lags, 0 to 1."""
    n = next_fast_len(len(a) + len(b))
    product = irfft(rfft(a, n) * np.conj(rfft(b, n)), n)
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.abs(product).max()) / scale if scale > 0 else 0.0


def same_pairs(waves: Sequence[Wave]) -> list[tuple[int, int, float]]:
    """(i, j, correlation) of every pair that holds one recording."""
    sketches = np.stack([sketch(x) for x in waves])
    close = np.argwhere(np.triu(sketches @ sketches.T, 1) >= SKETCH_NEAR)
    found = [(int(i), int(j), _same(waves[i], waves[j])) for i, j in close]
    return [pair for pair in found if pair[2]]


def same_across(
    first: Sequence[Path], second: Sequence[Path], load: Callable[[Path], Wave]
) -> Iterator[tuple[Path, Path, float]]:
    """(one of `first`, one of `second`, correlation) of every pair that holds one recording.

    Clips are loaded for their sketch and again if they are close, so that they need not fit into memory.
    """
    sketches = [np.stack([sketch(load(path)) for path in paths]) for paths in (first, second)]
    for i, j in np.argwhere(sketches[0] @ sketches[1].T >= SKETCH_NEAR):
        c = _same(load(first[i]), load(second[j]))
        if c:
            yield first[i], second[j], c


def _same(a: Wave, b: Wave) -> float:
    """The correlation of two clips that hold one recording; 0 if they do not."""
    a, b = _trim(a), _trim(b)
    if not 0.7 <= len(a) / len(b) <= 1 / 0.7:
        return 0.0
    c = correlation(a, b)
    return round(c, 3) if c >= SAME else 0.0


assert RATE == 16_000  # FRAME and HOP are 25 and 10 ms at this rate

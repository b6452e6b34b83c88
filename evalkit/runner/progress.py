"""How far a run is and how fast, as plain data. Drawing it is the command line's business."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Progress(Protocol):
    """What a run tells while it works. One `start`, then `advance` and `note`, then one `close`."""

    def start(self, total: int, already_done: int) -> None:
        """total: answers due in all; already_done: how many of them an earlier run left in the journal."""
        ...

    def advance(self, n: int, audio_seconds: float) -> None: ...

    def note(self, message: str) -> None: ...

    def close(self) -> None: ...


class Silent:
    """Progress for callers that show none."""

    def start(self, total: int, already_done: int) -> None: ...

    def advance(self, n: int, audio_seconds: float) -> None: ...

    def note(self, message: str) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Rates:
    """times_real_time: seconds of audio per second; eta_seconds: None while nothing is known."""

    done: int
    total: int
    samples_per_second: float
    times_real_time: float
    eta_seconds: float | None


class Meter:
    """Rates of this process's own work: what an earlier run did counts as done, not as speed."""

    def __init__(self, total: int, already_done: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._before = already_done
        self._clock = clock
        self._started = clock()
        self._samples = 0
        self._audio_seconds = 0.0

    def advance(self, n: int, audio_seconds: float) -> None:
        self._samples += n
        self._audio_seconds += audio_seconds

    def rates(self) -> Rates:
        # A clock that was set back must not give negative rates.
        elapsed = max(self._clock() - self._started, 1e-9)
        speed = self._samples / elapsed
        done = self._before + self._samples
        eta = (self._total - done) / speed if self._samples else None
        return Rates(done, self._total, speed, self._audio_seconds / elapsed, eta)

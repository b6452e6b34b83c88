"""How a run's progress is shown on stderr: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from evalkit.cli.terminal import printable

if TYPE_CHECKING:
    from evalkit.runner.progress import Progress, Rates

SECONDS_BETWEEN_LINES = 5.0


def show_progress(title: str) -> Progress:
    """What to show a run of `title` with, by what stderr is."""
    return Bar(title) if sys.stderr.isatty() else Lines(title)


class Lines:
    """Plain lines, at most one every `SECONDS_BETWEEN_LINES`, and one at the end."""

    def __init__(self, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._title = title
        self._clock = clock
        self._shown = clock()
        self._unshown = False

    def start(self, total: int, already_done: int) -> None:
        from evalkit.runner.progress import Meter

        self._meter = Meter(total, already_done)
        self._shown = self._clock()
        _say(f"{self._title}: {total} samples{_resumed(already_done)}")

    def advance(self, n: int, audio_seconds: float) -> None:
        self._meter.advance(n, audio_seconds)
        self._unshown = True
        if self._clock() - self._shown >= SECONDS_BETWEEN_LINES:
            self._show()

    def note(self, message: str) -> None:
        _say(f"{self._title}: {message}")

    def close(self) -> None:
        if self._unshown:
            self._show()

    def _show(self) -> None:
        rates = self._meter.rates()
        _say(f"{self._title}: {rates.done}/{rates.total}, {rates_text(rates)}")
        self._shown = self._clock()
        self._unshown = False


class Bar:
    """A bar drawn by rich."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (
            "{task.description}",
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rates]}"),
        )
        self._progress: Any = Progress(*columns, console=Console(stderr=True))
        self._title = title

    def start(self, total: int, already_done: int) -> None:
        from evalkit.runner.progress import Meter

        self._meter = Meter(total, already_done)
        self._progress.start()
        self._bar = self._progress.add_task(
            printable(self._title),
            total=total,
            completed=already_done,
            rates=_resumed(already_done).lstrip(", "),
        )

    def advance(self, n: int, audio_seconds: float) -> None:
        self._meter.advance(n, audio_seconds)
        rates = self._meter.rates()
        self._progress.update(self._bar, completed=rates.done, rates=rates_text(rates))

    def note(self, message: str) -> None:
        self._progress.console.print(printable(message), markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()


def rates_text(rates: Rates) -> str:
    """`3.2 samples/s, 14x real time, 2:05 left`."""
    parts = [f"{rates.samples_per_second:.2g} samples/s"]
    if rates.samples_per_second >= 10:
        parts = [f"{rates.samples_per_second:.0f} samples/s"]
    if rates.times_real_time > 0:
        parts.append(f"{rates.times_real_time:.1f}x real time")
    if rates.eta_seconds is not None and rates.done < rates.total:
        minutes, seconds = divmod(round(rates.eta_seconds), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    return ", ".join(parts)


def _resumed(already_done: int) -> str:
    return f", {already_done} of them done before" if already_done else ""


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)

"""`evalkit run --check-audio`: after each task, whether the model listens at all."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from evalkit.cli.terminal import Heading, printable, show_table

if TYPE_CHECKING:
    from evalkit.diagnostics.audio_use import AudioUse
    from evalkit.model import Model
    from evalkit.tasks.schema import Task


class AudioChecks:
    """The checks of a run, shown together at its end."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._found: list[AudioUse] = []

    def check(self, model: Model, task: Task) -> None:
        """Ask a sample of the task's questions again with silence, with other audio and with none."""
        from evalkit.diagnostics.audio_use import check_audio

        found = check_audio(model, task, seed=self._seed, say=lambda text: _say(f"checking {text}"))
        if found is None:
            _say(f"{task.name}: not two different recordings, so whether they are heard cannot be checked")
        else:
            self._found.append(found)

    def show(self, *, as_json: bool) -> None:
        """The table to stdout, unless that is kept for JSON; warnings to stderr."""
        from evalkit.diagnostics.audio_use import HEADINGS, audio_rows
        from evalkit.diagnostics.report import cell_text

        if self._found and not as_json:
            print("\nWhat the audio adds, on a sample of each task\n")
            headings = [Heading(text, "right" if at > 3 else "left") for at, text in enumerate(HEADINGS)]
            show_table(headings, [[cell_text(cell) for cell in row] for row in audio_rows(self._found)])
        for found in self._found:
            if warning := found.warning():
                _say(f"WARNING: {warning}")


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)

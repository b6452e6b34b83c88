"""Does a model listen? The same questions with silence, with another sample's audio, and with none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.diagnostics.answers import Change, answers, change, first_metric, share_changed
from evalkit.diagnostics.clips import Say, spread_samples
from evalkit.model import AudioSetting, Model
from evalkit.tasks.schema import Task

SAMPLES = 24
WITHHELD: tuple[AudioSetting, ...] = ("none", "silence", "shuffled")


@dataclass(frozen=True, slots=True)
class AudioUse:
    """One model on some samples of a task. Both by what it heard in place of the audio:

    gains: what the real audio adds to the first metric; changed: share of the answers that are other ones.
    """

    model: str
    task: str
    gains: Mapping[AudioSetting, Change]
    changed: Mapping[AudioSetting, float]

    def warning(self) -> str:
        """What is wrong, in one line; "" when the audio is heard and helps."""
        who = f"{self.model} on {self.task}"
        if not any(self.changed.values()):
            return f"{who}: AUDIO CHANGES NOTHING: every answer is the same without it; no score here is of listening"
        if not self.changed["shuffled"]:
            return f"{who}: every answer is the same with ANOTHER SAMPLE'S AUDIO: no score here is of what was heard"
        gain = self.gains["none"]
        if gain.low is None or gain.low <= 0:
            return (
                f"{who}: no gain of audio over text alone is shown on {gain.n} samples "
                f"({gain.metric} {gain.first:.3f} without, {gain.second:.3f} with audio)"
            )
        return ""


def check_audio(model: Model, task: Task, *, seed: int, say: Say, limit: int = SAMPLES) -> AudioUse | None:
    """None for a task without audio, or with too few different recordings to be exchanged."""
    samples = spread_samples(task, limit)
    if len({(audio.name, audio.path) for sample in samples for audio in sample.audios}) < 2:
        return None
    real = answers(model, task, samples)
    gains: dict[AudioSetting, Change] = {}
    changed: dict[AudioSetting, float] = {}
    for setting in WITHHELD:
        say(f"{model.info.name} on {task.name}: audio {setting}")
        other = answers(model, task, samples, setting)
        gains[setting] = change(first_metric(task, other), first_metric(task, real), seed=seed)
        changed[setting] = share_changed(task, real, other)
    return AudioUse(model.info.name, task.name, gains, changed)


def audio_rows(checks: Sequence[AudioUse]) -> list[tuple[str | int | float | None, ...]]:
    """For a table under HEADINGS: one row for each setting of each check."""
    return [
        (
            c.model,
            c.task,
            setting,
            g.metric,
            g.second,
            g.first,
            g.gain,
            g.low,
            g.high,
            g.p,
            c.changed[setting],
            g.n,
        )
        for c in checks
        for setting, g in c.gains.items()
    ]


HEADINGS = (
    *("model", "task", "instead", "metric", "with audio", "without", "gain"),
    *("low", "high", "p", "answers changed", "n"),
)

"""The audio of a run's samples for a page: found through the task's data, checked, and embedded."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.data import AudioError, SampleSource, content_sha256, decode, open_samples
from evalkit.model import Audio
from evalkit.results import JournalEntry
from evalkit.results.fingerprint import request_hash
from evalkit.results.provenance import without_home
from evalkit.tasks import PromptError, build_messages
from evalkit.tasks.schema import AudioRef, Sample, Task

MAX_BYTES = 16 << 20
"""Encoded audio on one page; base64 adds a third."""

RATE = 16_000
_BYTES_A_SECOND = 1.2 * RATE
"""What FLAC takes of 16-bit speech, roughly: enough to leave out what is surely too long before decoding."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One audio of a sample: a data URI, or why there is none."""

    name: str
    uri: str = ""
    seconds: float = 0.0
    missing: str = ""


class AudioFinder:
    """Gives the clips of journal entries until the page is full. `missing`: why it gives none at all."""

    def __init__(self, task: Task | None, name: str) -> None:
        self.task = task
        self.left = MAX_BYTES
        self.missing = ""
        self._samples: SampleSource | None = None
        if task is None:
            self.missing = (
                f"No audio: the task {name} is not known here; --include-path FOLDER says where its file is."
            )
            return
        try:
            self._samples = open_samples(task)
        except (ValueError, OSError) as error:
            self.missing = f"No audio: the data of {name} cannot be opened ({without_home(str(error))})."

    def clips(self, entry: JournalEntry) -> tuple[Clip, ...]:
        """The entry's clips, as a model hears them: mono, 16 kHz. Data that are not the run's give none."""
        if self.task is None or self._samples is None:
            return ()
        if entry.index >= len(self._samples):
            return (Clip("", missing="the data hold no such sample any more"),)
        try:
            sample = self._samples.sample(entry.index)
            contents = [content_sha256(ref) for ref in sample.audios]
        except (ValueError, OSError) as error:
            reason = without_home(error.reason if isinstance(error, AudioError) else str(error))
            return (Clip("", missing=reason),)
        if sample.id != entry.id or _request(self.task, sample, contents) != entry.request:
            return (Clip("", missing="the data or the prompt are not those of the run any more"),)
        return tuple(self._clip(ref, sample.seconds) for ref in sample.audios)

    def _clip(self, ref: AudioRef, seconds: float) -> Clip:
        full = f"left out: a page holds {MAX_BYTES >> 20} MB of audio at most"
        if seconds * _BYTES_A_SECOND > self.left:
            return Clip(ref.name, seconds=seconds, missing=full)
        try:
            audio = decode(ref, RATE)
        except AudioError as error:
            return Clip(ref.name, missing=without_home(error.reason))
        encoded = _flac(audio)
        if len(encoded) > self.left:
            return Clip(ref.name, seconds=audio.seconds, missing=full)
        self.left -= len(encoded)
        return Clip(
            ref.name, f"data:audio/flac;base64,{base64.b64encode(encoded).decode('ascii')}", audio.seconds
        )


def _request(task: Task, sample: Sample, contents: Sequence[str]) -> str:
    """The hash that the run's journal holds if audio, prompt and choices are the same."""
    try:
        messages = build_messages(task, sample, len(sample.audios))
    except PromptError:
        messages = ()
    choices = sample.choices if task.output_type == "multiple_choice" else ()
    return request_hash(contents, messages, choices)


def _flac(audio: Audio) -> bytes:
    """FLAC plays in every browser, loses nothing of 16 bits, and takes half of what WAV does."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, audio.samples, audio.rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()

"""Write a one-voice tune as a Standard MIDI File and render it with a soundfont."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

from recipes.mini.abc import BAR, BEAT, Note, Tune
from recipes.mini.audio import RATE, Wave

TICKS = 480
RENDER_SECONDS = 60


def excerpt(tune: Tune, beats: float) -> list[Note]:
    """The notes that begin within the first `beats` beats of the tune."""
    end = Fraction(beats).limit_denominator(64) * BEAT[tune.meter]
    return [note for note in tune.notes if note.onset < end]


def _variable(value: int) -> bytes:
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(value & 0x7F | 0x80)
    return bytes(reversed(out))


def _loudness(note: Note, tune: Tune) -> int:
    """Bars and beats are played a little louder, so that the metre can be heard."""
    if note.bar_at % BAR[tune.meter] == 0:
        return 112
    return 92 if note.bar_at % BEAT[tune.meter] == 0 else 74


def smf(tune: Tune, notes: Sequence[Note], program: int, beats_per_minute: float) -> bytes:
    """Format-0 file: one program change, one tempo, the notes. `program` is the General MIDI number from 0."""
    quarter = round(60e6 / (beats_per_minute * float(BEAT[tune.meter])))
    events: list[tuple[int, int, bytes]] = [
        (0, 0, b"\xff\x51\x03" + quarter.to_bytes(3, "big")),
        (0, 0, bytes([0xC0, program])),
    ]
    for note in notes:
        start = round(note.onset * TICKS)
        stop = max(start + 1, round((note.onset + note.length * Fraction(19, 20)) * TICKS))
        events.append((start, 2, bytes([0x90, note.pitch, _loudness(note, tune)])))
        events.append((stop, 1, bytes([0x80, note.pitch, 0])))
    events.sort()
    track, now = b"", 0
    for at, _, data in events:
        track += _variable(at - now) + data
        now = at
    track += _variable(TICKS) + b"\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS) + b"MTrk" + struct.pack(">I", len(track)) + track


def render(data: bytes, soundfont: Path, seconds: float) -> Wave:
    """At most `seconds` of a MIDI file at 16 kHz, dry, with a short fade at the end."""
    with tempfile.TemporaryDirectory() as folder:
        score, wav = Path(folder) / "tune.mid", Path(folder) / "tune.wav"
        score.write_bytes(data)
        options = ["-q", "-n", "-i", "-R", "0", "-C", "0", "-g", "0.8", "-r", str(RATE)]
        command = ["fluidsynth", *options, "-F", str(wav), str(soundfont), str(score)]
        # fluidsynth can run on for ever on odd input and fill the disk.
        subprocess.run(command, check=True, capture_output=True, timeout=RENDER_SECONDS)
        x, _ = soundfile.read(wav, dtype="float32", always_2d=True)
    y = x.mean(axis=1)[: int(seconds * RATE)]
    fade = min(len(y), RATE // 5)
    y[len(y) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    level = float(np.sqrt(np.mean(y**2))) + 1e-9
    return np.asarray(np.clip(y * (0.08 / level), -0.98, 0.98), dtype=np.float32)

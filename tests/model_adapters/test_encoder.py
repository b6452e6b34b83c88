"""Our windows against transformers' own 30 s encoder, on real clips and real weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_adapters.audio_llm.encoder import (
    MAX_WINDOW,
    RATE,
    WhisperFeatures,
    encode,
    frame_count,
    window_length,
    windows,
)

# What fp32 differs by from the same encoder in fp64: another batch is another order of sums.
ROUNDING = 3e-4


def frame_error(one: Tensor, other: Tensor) -> float:
    """The largest distance of two frames, as a share of the frame's own length."""
    return float(((one - other).norm(dim=-1) / other.norm(dim=-1)).max())


@pytest.fixture(scope="module")
def long_clip(clips: Any) -> NDArray[np.float32]:
    """29.9 s of speech: it needs the whole 30 s window."""
    joined = np.concatenate(clips(40))
    return joined[: 29 * RATE + 14_400]


def test_a_full_window_gives_the_frames_of_the_official_encoder(
    long_clip: NDArray[np.float32], features: WhisperFeatures, whisper: Any
) -> None:
    from transformers import WhisperFeatureExtractor

    official = WhisperFeatureExtractor()(long_clip, sampling_rate=RATE, return_tensors="pt").input_features
    ours = features(long_clip)
    torch.testing.assert_close(ours, official[0], rtol=0, atol=1e-5)
    with torch.inference_mode():
        expected = whisper(official).last_hidden_state[0]
    (states,) = encode(whisper, [ours])
    assert states.shape == (1500, 512)
    torch.testing.assert_close(states, expected, rtol=0, atol=1e-4)


def test_a_short_window_says_nearly_what_thirty_seconds_of_padding_say(
    clips: Any, features: WhisperFeatures, whisper: Any
) -> None:
    (clip,) = clips(1)
    frames = frame_count(len(clip))
    (short,) = encode(whisper, [features(clip)])
    padded = np.zeros(MAX_WINDOW, dtype=np.float32)
    padded[: len(clip)] = clip
    (whole,) = encode(whisper, [features(padded)])
    speech = len(clip) // 320
    similarity = torch.cosine_similarity(short[:speech], whole[:speech], dim=-1)
    assert frames < 100 < len(whole)
    assert similarity.mean() > 0.8


def test_clips_encoded_together_and_one_at_a_time_give_the_same(
    clips: Any, features: WhisperFeatures, whisper: Any
) -> None:
    mels = [features(clip) for clip in clips(8)]
    assert 1 < len({mel.shape[-1] for mel in mels}) < 8
    together = encode(whisper, mels)
    for mel, state in zip(mels, together, strict=True):
        assert state.shape == (mel.shape[-1] // 2, 512)
        assert frame_error(encode(whisper, [mel])[0], state) < ROUNDING


def test_the_order_of_the_clips_is_kept(clips: Any, features: WhisperFeatures, whisper: Any) -> None:
    mels = [features(clip) for clip in clips(4)]
    forward, backward = encode(whisper, mels), encode(whisper, mels[::-1])
    for one, other in zip(forward, backward[::-1], strict=True):
        assert frame_error(one, other) < ROUNDING


def test_nothing_to_encode_gives_nothing(whisper: Any) -> None:
    assert encode(whisper, []) == []


@pytest.mark.parametrize(
    ("seconds", "window"), [(0.01, 1), (0.75, 1), (0.76, 2), (5.0, 6), (29.75, 30), (29.9, 30), (30.0, 30)]
)
def test_a_window_is_whole_seconds_with_a_quarter_of_silence_at_its_end(seconds: float, window: int) -> None:
    assert window_length(int(seconds * RATE)) == window * RATE


def test_frames_are_kept_for_the_clip_and_a_little_silence() -> None:
    assert frame_count(RATE) == 50 + 6
    assert frame_count(30 * RATE) == 1500
    for samples in range(1, 31 * RATE, 7_777):
        length = min(samples, MAX_WINDOW)
        assert length // 320 <= frame_count(length) <= window_length(length) // 320


def test_every_clip_keeps_at_least_one_frame() -> None:
    assert frame_count(1) >= 1


def test_what_is_longer_than_thirty_seconds_is_cut_into_windows_that_lose_nothing() -> None:
    clip = np.arange(75 * RATE, dtype=np.float32)
    cuts = windows(clip)
    assert [len(cut) / RATE for cut in cuts] == [30, 30, 15]
    assert np.array_equal(np.concatenate(cuts), clip)
    assert [len(cut) for cut in windows(clip[:MAX_WINDOW])] == [MAX_WINDOW]


def test_silence_and_noise_give_finite_features(features: WhisperFeatures) -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    for clip in (np.zeros(RATE, dtype=np.float32), noise, 1e4 * noise):
        mel = features(clip)
        assert mel.shape == (80, 200)
        assert mel.isfinite().all()

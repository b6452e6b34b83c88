from __future__ import annotations

from typing import Any

import pytest
import torch

from model_adapters.audio_llm.encoder import encode, frame_count
from model_adapters.audio_llm.states import StateCache, content_key, encode_once, shared_cache


@pytest.fixture
def encoded(whisper: Any) -> Any:
    """How many windows the encoder has been given."""
    counts: list[int] = []
    handle = whisper.conv1.register_forward_pre_hook(lambda module, args: counts.append(len(args[0])))
    yield counts
    handle.remove()


def test_a_clip_is_encoded_once_and_gives_the_same_states_again(
    clips: Any, features: Any, whisper: Any, encoded: list[int]
) -> None:
    one, other = clips(2)
    asked = [one, other, one, one]
    keys = [content_key(clip) for clip in asked]
    mels = [features(clip) for clip in asked]
    frames = [frame_count(len(clip)) for clip in asked]
    held = StateCache()
    first = encode_once(held, whisper, keys, mels.__getitem__, frames)
    assert sum(encoded) == 2
    again = encode_once(held, whisper, keys[:1], mels.__getitem__, frames[:1])
    assert sum(encoded) == 2
    assert torch.equal(again[0], first[0])
    assert torch.equal(first[0], first[2])
    for states, mel, count in zip(first, mels, frames, strict=True):
        assert states.shape == (count, 512)
        torch.testing.assert_close(states, encode(whisper, [mel])[0][:count], rtol=0, atol=2e-3)


def test_the_cache_forgets_what_was_used_least_recently() -> None:
    held = StateCache(limit=1000)
    for name in (b"a", b"b"):
        held.put(name, torch.zeros(100))
    assert held.get(b"a") is not None
    held.put(b"c", torch.zeros(100))
    assert held.get(b"b") is None
    assert held.get(b"a") is not None
    assert held.size == 800


def test_states_larger_than_the_cache_are_not_held_but_still_given(
    clips: Any, features: Any, whisper: Any
) -> None:
    (clip,) = clips(1)
    held = StateCache(limit=10)
    mels, frames = [features(clip)], [frame_count(len(clip))]
    (states,) = encode_once(held, whisper, [content_key(clip)], mels.__getitem__, frames)
    assert len(states) == frame_count(len(clip))
    assert held.size == 0


def test_putting_the_same_twice_counts_once() -> None:
    held = StateCache()
    held.put(b"a", torch.zeros(4))
    held.put(b"a", torch.zeros(4))
    assert held.size == 16


def test_models_with_one_encoder_share_a_cache_and_others_do_not() -> None:
    assert shared_cache("encoder float32 cpu") is shared_cache("encoder float32 cpu")
    assert shared_cache("encoder float32 cpu") is not shared_cache("encoder bfloat16 cpu")


def test_keys_are_of_the_content(clips: Any) -> None:
    one, other = clips(2)
    assert content_key(one) == content_key(one.copy()) != content_key(other)
    assert content_key(one) != content_key(one[:-1])

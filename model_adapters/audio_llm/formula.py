"""Operations of a whole answer by formula, a multiplication and an addition being two.

What torch's counter counts, and no more: matrix products and convolutions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model_adapters.audio_llm.cost import flops
from model_adapters.audio_llm.decoding import steps_of
from model_adapters.audio_llm.encoder import HOP, window_length
from model_adapters.audio_llm.packed import PackedLinear

if TYPE_CHECKING:
    from model_adapters.audio_llm.model import Inputs, Parts

# Bins of the spectrum that Whisper's mel filters read: an FFT of 400 samples.
_BINS = 201


def answer_flops(parts: Parts, inputs: Inputs, written: int, longest: int) -> int:
    """Of mel features, encoder, projector and LLM, for an answer of `written` tokens where `longest` were allowed."""
    config: Any = parts.encoder.config
    frames = [window_length(len(cut)) // HOP for audio in inputs.cuts for cut in audio]
    heard = sum(2 * config.num_mel_bins * _BINS * count + encoder_flops(config, count) for count in frames)
    stack = parts.projector.config.stack
    tokens = sum(-(-count // stack) for audio in inputs.frames for count in audio)
    prompt = tokens + sum(len(segment.tokens) for segment in inputs.segments)
    steps = steps_of(written, longest, parts.llm.device)
    return int(heard) + tokens * flops(parts.projector.config) + llm_flops(parts.llm, prompt, steps)


def encoder_flops(config: Any, frames: int) -> int:
    """Of a Whisper encoder on mel features [mels, frames]; attention of every position to every one:
    two convolutions, then per layer 8 T d^2 + 4 T^2 d + 4 T d f on T = frames / 2 positions."""
    d, inner, half = config.d_model, config.encoder_ffn_dim, frames // 2
    convolutions = 2 * 3 * d * (frames * config.num_mel_bins + half * d)
    layer = 8 * half * d * d + 4 * half * half * d + 4 * half * d * inner
    return int(convolutions + config.encoder_layers * layer)


def llm_flops(model: Any, prompt: int, steps: int) -> int:
    """Of reading a prompt and then choosing `steps` tokens, of which all but the last are read too."""
    config = model.config
    # A single row goes through a packed layer as two.
    row = 2 if isinstance(model.model.layers[0].self_attn.q_proj, PackedLinear) else 1
    head = 2 if isinstance(model.lm_head, PackedLinear) else 1
    found = _read(config, prompt, prompt, prompt)
    found += sum(_read(config, 1, row, prompt + step) for step in range(1, steps))
    return found + int(steps * head * 2 * config.hidden_size * config.vocab_size)


def _read(config: Any, positions: int, rows: int, keys: int) -> int:
    """One pass over `positions` that see `keys` each; rows: that go through the linear layers."""
    heads, width = config.num_attention_heads, config.hidden_size
    size = getattr(config, "head_dim", None) or width // heads
    linear = 2 * width * (2 * heads * size + 2 * config.num_key_value_heads * size)
    linear += 6 * width * config.intermediate_size
    attention = 4 * positions * keys * heads * size
    return int(config.num_hidden_layers * (rows * linear + attention))

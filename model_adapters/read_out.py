"""A transcript in the place of every recording, for language models without ears."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from evalkit.model import AudioSlot, Message
from model_adapters.audio_llm.prompt import render

IN_PLACE = 'Transcript of the recording: "{}"\n'
# Whisper's longest answer; a transcript is cut by nothing else.
TRANSCRIPT_TOKENS = 444


def read_out(tokenizer: Any, messages: Sequence[Message], transcripts: Sequence[str]) -> tuple[int, ...]:
    """The prompt's tokens by the tokenizer's own chat template, every audio replaced by its transcript."""
    (segment,) = render(tokenizer, [_message(message, transcripts) for message in messages], None)
    return segment.tokens


@torch.inference_mode()
def embedded(llm: Any, tokens: Sequence[int]) -> Tensor:
    """Input embeddings [tokens, d]."""
    embed = llm.get_input_embeddings()
    found: Tensor = embed(torch.tensor(tokens, device=embed.weight.device))
    return found


def _message(message: Message, transcripts: Sequence[str]) -> Message:
    return Message(
        message.role,
        tuple(
            IN_PLACE.format(transcripts[part.index]) if isinstance(part, AudioSlot) else part
            for part in message.content
        ),
    )

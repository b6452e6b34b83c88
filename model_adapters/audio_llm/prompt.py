"""From messages to token segments with places for audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.model import AudioSlot, Message

# ChatML without the system message that SmolLM2's own template puts in front of every prompt.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Stands for an audio while the chat template runs; no tokenizer produces it from text.
_MARK = "\ue000{index}\ue001"


@dataclass(frozen=True, slots=True)
class Segment:
    """Either token ids or the index of an audio."""

    tokens: tuple[int, ...] = ()
    audio: int | None = None


def render(tokenizer: Any, messages: Sequence[Message], template: str | None) -> tuple[Segment, ...]:
    """The prompt as segments, in order, ready for the assistant's turn."""
    chat = [{"role": m.role, "content": _plain(m)} for m in messages]
    text = tokenizer.apply_chat_template(
        chat, tokenize=False, add_generation_prompt=True, chat_template=template
    )
    segments: list[Segment] = []
    for position, piece in enumerate(text.split("\ue000")):
        if position:
            index, piece = piece.split("\ue001", 1)
            segments.append(Segment(audio=int(index)))
        if piece:
            segments.append(Segment(tokens=tuple(tokenizer(piece, add_special_tokens=False).input_ids)))
    return tuple(segments)


def _plain(message: Message) -> str:
    parts = []
    for part in message.content:
        if isinstance(part, AudioSlot):
            parts.append(_MARK.format(index=part.index) + "\n")
        else:
            parts.append(part.replace("\ue000", "").replace("\ue001", ""))
    return "".join(parts)

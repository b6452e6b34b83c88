"""Sample and audio to the request that a model gets."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import product
from string import ascii_uppercase

from evalkit.model import Audio, AudioSetting, AudioSlot, Message, Request
from evalkit.tasks.errors import PromptError
from evalkit.tasks.schema import Sample, Task
from evalkit.tasks.templates import evaluate, render

AUDIO_MARKER = "<audio>"
# Stands for the template's own markers while it is rendered, so that `<audio>` in the data stays text.
_PLACE = "\x00audio\x00"
_LETTERS = (*ascii_uppercase, *map("".join, product(ascii_uppercase, repeat=2)))


def build_request(
    task: Task, sample: Sample, audios: Sequence[Audio], audio: AudioSetting = "real"
) -> Request:
    """The request for one sample.

    audios: decoded, one for each of `sample.audios`, or another sample's for the setting `shuffled`.
    `none` drops audio and its places; `silence` keeps length and rate and makes every value 0.
    Raises PromptError if a template cannot be rendered or places another number of audios.
    """
    messages = build_messages(task, sample, len(audios))
    if audio == "none":
        messages = tuple(_without_audio(message) for message in messages)
        audios = ()
    elif audio == "silence":
        audios = [silence_like(one) for one in audios]
    choices = sample.choices if task.output_type == "multiple_choice" else ()
    return Request(sample.id, messages, tuple(audios), choices, task.generation)


def build_messages(task: Task, sample: Sample, audios: int) -> tuple[Message, ...]:
    """The system message, if there is a description, then the user's.

    Audio comes first unless the template places it; `audios` says how many there are.
    Raises PromptError as `build_request` does.
    """
    where = f"task {task.name}, sample {sample.id}"
    fields = {**sample.fields}
    if sample.choices:
        fields["choices"] = list(sample.choices)
        fields.setdefault("letters", letters(len(sample.choices)))
    messages: list[Message] = []
    if task.description:
        text = str(evaluate(task.description, "description", fields, where))
        messages.append(Message("system", (text,)))
    template = task.doc_to_text
    if isinstance(template, str) and AUDIO_MARKER in template and template not in fields:
        text = render(template.replace(AUDIO_MARKER, _PLACE), "doc_to_text", fields, where)
        content = _placed(text, audios, where)
    else:
        text = render(template, "doc_to_text", fields, where)
        slots: tuple[str | AudioSlot, ...] = tuple(AudioSlot(index) for index in range(audios))
        content = (*slots, text) if text else slots
    return (*messages, Message("user", content))


def letters(count: int) -> list[str]:
    """A, B, ... Z, then AA, AB, ...: the letters of that many choices."""
    return list(_LETTERS[:count])


def silence_like(audio: Audio) -> Audio:
    """Zeros of the same length and rate, with a hash of their own."""
    import numpy as np

    digest = hashlib.sha256(f"silence:{len(audio.samples)}:{audio.rate}".encode()).hexdigest()
    return Audio(np.zeros_like(audio.samples), audio.rate, digest)


def _placed(text: str, audios: int, where: str) -> tuple[str | AudioSlot, ...]:
    pieces = text.split(_PLACE)
    if len(pieces) - 1 != audios:
        raise PromptError(
            f"{where}: doc_to_text: places {len(pieces) - 1} audios by `{AUDIO_MARKER}`, "
            f"the sample has {audios}"
        )
    content: list[str | AudioSlot] = []
    for index, piece in enumerate(pieces):
        content.extend([piece] if piece else [])
        content.extend([AudioSlot(index)] if index < audios else [])
    return tuple(content)


def _without_audio(message: Message) -> Message:
    """The message with its slots removed and the texts around them joined."""
    texts = [part for part in message.content if isinstance(part, str)]
    text = "".join(texts).strip() if len(texts) < len(message.content) else "".join(texts)
    return Message(message.role, (text,))

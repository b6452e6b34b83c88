"""The audio LLM's language model without ears: it reads a transcript in place of every recording.

What it gets right can be told from the words alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from evalkit.model import (
    AudioSlot,
    Card,
    HintName,
    LoadOptions,
    Message,
    ModelInfo,
    Prepared,
    Request,
    Response,
)
from model_adapters import whisper
from model_adapters.audio_llm import answers, llm
from model_adapters.audio_llm.loading import count_stored, pick_device, pick_dtype
from model_adapters.audio_llm.prompt import render
from model_adapters.backbone import resolve
from model_adapters.whisper import Recogniser, Recording

# Part of the fingerprint: raise it whenever a change here changes an answer.
CODE_VERSION = 1
IN_PLACE = 'Transcript of the recording: "{}"\n'
# Whisper's longest answer; a transcript is cut by nothing else.
TRANSCRIPT_TOKENS = 444

HINTS: dict[str, tuple[HintName, ...]] = {
    "task": ("transcripts", "language"),
    "whisper": ("language",),
}


@dataclass(frozen=True, slots=True)
class Inputs:
    """transcripts: those that the task gives; recordings: those to be heard, if it gives none."""

    transcripts: tuple[str, ...]
    recordings: tuple[Recording, ...]
    choices: tuple[tuple[int, ...], ...]


class TranscriptLLM:
    """The model's own chat template, as it was tuned for; text out or choices scored."""

    def __init__(self, recogniser: Recogniser, model: Any, tokenizer: Any, info: ModelInfo) -> None:
        self.info = info
        self._recogniser = recogniser
        self._llm = model
        self._tokenizer = tokenizer
        self._stop_tokens = [tokenizer.eos_token_id]

    def prepare(self, request: Request) -> Prepared:
        given = request.hints.transcripts
        if given and len(given) != len(request.audios):
            raise ValueError(
                f"{len(request.audios)} recordings but {len(given)} transcripts: the field that "
                "metadata.evalkit.transcript names must have one for each, in a list"
            )
        language = request.hints.language or None
        heard = () if given else [self._recogniser.recording(audio, language) for audio in request.audios]
        choices = tuple(
            tuple(self._tokenizer(choice, add_special_tokens=False).input_ids) for choice in request.choices
        )
        return Prepared(request, Inputs(given, tuple(heard), choices), 1 + len(heard))

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        settings = batch[0].request.settings
        prompts = self._prompts(batch)
        return answers.generated(self._llm, self._tokenizer, prompts, settings, self._stop_tokens)

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        choices = [prepared.payload.choices for prepared in batch]
        return answers.weighed(self._llm, self._prompts(batch), choices)

    @torch.inference_mode()
    def _prompts(self, batch: Sequence[Prepared]) -> list[Tensor]:
        """The LLM's input embeddings [tokens, d] of every item."""
        recordings = [one for prepared in batch for one in prepared.payload.recordings]
        heard = iter(self._recogniser.transcribe(recordings, TRANSCRIPT_TOKENS))
        embed = self._llm.get_input_embeddings()
        prompts = []
        for prepared in batch:
            said = prepared.payload.transcripts or [next(heard).text for _ in prepared.payload.recordings]
            messages = [_read_out(message, said) for message in prepared.request.messages]
            (segment,) = render(self._tokenizer, messages, None)
            prompts.append(embed(torch.tensor(segment.tokens, device=embed.weight.device)))
        return prompts


def _read_out(message: Message, transcripts: Sequence[str]) -> Message:
    """The message with a transcript in each audio's place."""
    return Message(
        message.role,
        tuple(
            IN_PLACE.format(transcripts[part.index]) if isinstance(part, AudioSlot) else part
            for part in message.content
        ),
    )


def load(card: Card, options: LoadOptions) -> TranscriptLLM:
    """Entry point `transcript` of the group `evalkit.models`.

    `--model-args transcript=task` (what the task gives where it does, else Whisper's; the default) or
    `transcript=whisper` (Whisper's everywhere).
    """
    known = info(card, options)
    device, dtype = torch.device(known.device), getattr(torch, known.dtype)
    backbone = resolve(options.backbone)
    model, tokenizer = llm.load_llm(backbone.llm, dtype, device)
    return TranscriptLLM(Recogniser(backbone.whisper, dtype, device), model, tokenizer, known)


def info(card: Card, options: LoadOptions) -> ModelInfo:
    """Entry point `transcript` of the group `evalkit.infos`: what is known without loading the weights."""
    whisper.check_options(card, options, "transcript")
    source = options.args.get("transcript", "task")
    if source not in HINTS:
        raise ValueError(f"--model-args transcript={source}: expected {' or '.join(HINTS)}")
    device = pick_device(options.device)
    backbone = resolve(options.backbone)
    parameters = count_stored(backbone.llm, "")
    return ModelInfo(
        name=card.name,
        fingerprint=whisper.fingerprint(
            code=[CODE_VERSION, whisper.CODE_VERSION],
            backbone=backbone.fingerprint,
            transcript=source,
            in_place=IN_PLACE,
        ),
        device=str(device),
        dtype=str(pick_dtype(options.dtype, device)).removeprefix("torch."),
        parameters=parameters,
        active_parameters=parameters,
        sources=backbone.sources,
        hints=HINTS[source],
    )


def fetch(card: Card, options: LoadOptions) -> None:
    """Entry point `transcript` of the group `evalkit.fetchers`."""
    resolve(options.backbone)

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
from model_adapters.audio_llm import llm
from model_adapters.audio_llm.loading import pick_device, pick_dtype
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
        prompts = self._prompts(batch)
        settings = batch[0].request.settings
        answers = llm.decode(self._llm, prompts, settings, self._stop_tokens)
        return [
            Response(
                text=self._tokenizer.decode(tokens, skip_special_tokens=True),
                finish_reason="length" if len(tokens) >= settings.max_new_tokens else "stop",
                input_tokens=len(prompt),
                output_tokens=len(tokens),
            )
            for prompt, tokens in zip(prompts, answers, strict=True)
        ]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        responses = []
        for prompt, prepared in zip(self._prompts(batch), batch, strict=True):
            tokens = [torch.tensor(choice, device=prompt.device) for choice in prepared.payload.choices]
            scores = llm.continuation_logprobs(self._llm, [prompt] * len(tokens), tokens)
            responses.append(
                Response(
                    choice_logprobs=tuple(scores.tolist()),
                    choice_tokens=tuple(map(len, tokens)),
                    finish_reason="choices",
                    input_tokens=len(prompt),
                )
            )
        return responses

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
    source = options.args.get("transcript", "task")
    unknown = sorted(set(options.args) - {"transcript"})
    if unknown or card.config:
        what = f"--model-args {', '.join(unknown)}" if unknown else f"config ({card.path.name})"
        raise ValueError(f"{card.name} does not know the {what}; it takes --model-args transcript=... alone")
    if source not in HINTS:
        raise ValueError(f"--model-args transcript={source}: expected {' or '.join(HINTS)}")
    device = pick_device(options.device)
    dtype = pick_dtype(options.dtype, device)
    backbone = resolve(options.backbone)
    model, tokenizer = llm.load_llm(backbone.llm, dtype, device)
    recogniser = Recogniser(backbone.whisper, dtype, device)
    parameters = sum(weight.numel() for weight in model.parameters())
    info = ModelInfo(
        name=card.name,
        fingerprint=whisper.fingerprint(
            code=[CODE_VERSION, whisper.CODE_VERSION],
            backbone=backbone.fingerprint,
            transcript=source,
            in_place=IN_PLACE,
        ),
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
        parameters=parameters,
        active_parameters=parameters,
        sources=backbone.sources,
        hints=HINTS[source],
    )
    return TranscriptLLM(recogniser, model, tokenizer, info)


def fetch(card: Card, options: LoadOptions) -> None:
    """Entry point `transcript` of the group `evalkit.fetchers`."""
    resolve(options.backbone)

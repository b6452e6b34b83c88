"""The audio LLM's language model without ears: it reads a transcript in place of every recording.

What it gets right can be told from the words alone. Untuned, it does not keep to the answers that a
question offers, and it likes some of them whatever it reads. So where a task has choices it answers with
the one that the transcript makes likelier by most: log p(choice | question, transcript) less
log p(choice | question, empty transcript) (PMI_DC of Holtzman et al., "Surface Form Competition", 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from evalkit.model import (
    Card,
    HintName,
    LoadOptions,
    ModelInfo,
    Prepared,
    Request,
    Response,
)
from model_adapters import whisper
from model_adapters.audio_llm import answers, llm
from model_adapters.audio_llm.loading import count_stored, pick_device, pick_dtype
from model_adapters.audio_llm.openings import Openings
from model_adapters.backbone import resolve
from model_adapters.read_out import IN_PLACE, TRANSCRIPT_TOKENS, embedded, read_out
from model_adapters.whisper import Recogniser, Recording

# Part of the fingerprint: raise it whenever a change here changes an answer.
CODE_VERSION = 1

HINTS: dict[str, tuple[HintName, ...]] = {
    "task": ("options", "transcripts", "language"),
    "whisper": ("options", "language"),
}


@dataclass(frozen=True, slots=True)
class Inputs:
    """transcripts: those that the task gives; recordings: those to be heard, if it gives none;
    options: tokens of the answers to choose from.
    """

    transcripts: tuple[str, ...]
    recordings: tuple[Recording, ...]
    options: tuple[tuple[int, ...], ...]


class TranscriptLLM:
    """The model's own chat template, as it was tuned for; text out or choices scored."""

    def __init__(self, recogniser: Recogniser, model: Any, tokenizer: Any, info: ModelInfo) -> None:
        self.info = info
        self._recogniser = recogniser
        self._llm = model
        self._openings = Openings(model)
        self._tokenizer = tokenizer
        self._stop_tokens = [tokenizer.eos_token_id]
        self._priors: dict[Any, tuple[float, ...]] = {}

    def prepare(self, request: Request) -> Prepared:
        given = request.hints.transcripts
        if not request.audios:
            raise ValueError(f"{self.info.name} reads what is said: there is no audio to be read out")
        if given and len(given) != len(request.audios):
            raise ValueError(
                f"{len(request.audios)} recordings but {len(given)} transcripts: the field that "
                "metadata.evalkit.transcript names must have one for each, in a list"
            )
        language = request.hints.language or None
        heard = () if given else [self._recogniser.recording(audio, language) for audio in request.audios]
        options = tuple(self._tokens(option) for option in request.choices or request.hints.options)
        return Prepared(request, Inputs(given, tuple(heard), options), 1 + len(heard))

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        if batch[0].payload.options:  # a task has choices for all of its samples or for none
            return [
                _named(one.request, weighed) for one, weighed in zip(batch, self._weighed(batch), strict=True)
            ]
        asked = [prepared.request.settings for prepared in batch]
        prompts = self._prompts(batch)
        return answers.generated(
            self._llm,
            self._tokenizer,
            [embedded(self._llm, prompt) for prompt in prompts],
            asked,
            self._stop_tokens,
            opening=self._openings.of_texts(prompts),
        )

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        """What is summed up in `choice_logprobs` is a difference of log-likelihoods: see the module."""
        return self._weighed(batch)

    def _weighed(self, batch: Sequence[Prepared]) -> list[Response]:
        prompts = self._prompts(batch)
        read = self._read(prompts, [prepared.payload.options for prepared in batch])
        return [
            replace(after, choice_logprobs=self._gained(prepared, prompt, after.choice_logprobs))
            for prepared, prompt, after in zip(batch, prompts, read, strict=True)
        ]

    def _gained(
        self, prepared: Prepared, prompt: tuple[int, ...], after: tuple[float, ...]
    ) -> tuple[float, ...]:
        """How much likelier (nats) the transcript made each option; 0 where it is empty, whatever was rounded."""
        unread = self._prompt(prepared.request, [""] * len(prepared.request.audios))
        if prompt == unread:
            return (0.0,) * len(after)
        before = self._prior(unread, prepared.payload.options)
        return tuple(one - other for one, other in zip(after, before, strict=True))

    def _prior(self, unread: tuple[int, ...], options: tuple[tuple[int, ...], ...]) -> tuple[float, ...]:
        """The options' log-likelihoods after an empty transcript; most samples of a task share them."""
        if (unread, options) not in self._priors:
            (response,) = self._read([unread], [options])
            self._priors[unread, options] = response.choice_logprobs
        return self._priors[unread, options]

    def _read(
        self, prompts: Sequence[tuple[int, ...]], options: Sequence[tuple[tuple[int, ...], ...]]
    ) -> list[Response]:
        """The options' log-likelihoods after each prompt (token ids)."""
        inputs = [embedded(self._llm, prompt) for prompt in prompts]
        return answers.weighed(self._llm, inputs, options, self._openings.of_texts(prompts))

    def _prompts(self, batch: Sequence[Prepared]) -> list[tuple[int, ...]]:
        """The tokens of every prompt, after hearing what has no transcript."""
        recordings = [one for prepared in batch for one in prepared.payload.recordings]
        heard = iter(self._recogniser.transcribe(recordings, TRANSCRIPT_TOKENS))
        return [
            self._prompt(
                prepared.request,
                prepared.payload.transcripts or [next(heard).text for _ in prepared.payload.recordings],
            )
            for prepared in batch
        ]

    def _prompt(self, request: Request, transcripts: Sequence[str]) -> tuple[int, ...]:
        return read_out(self._tokenizer, request.messages, transcripts)

    def _tokens(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False).input_ids)


def _named(request: Request, weighed: Response) -> Response:
    """The option that became likelier by most, as text; nothing where nothing was read, so none did."""
    weights = weighed.choice_logprobs
    text = request.hints.options[weights.index(max(weights))] if any(weights) else ""
    return Response(text=text, input_tokens=weighed.input_tokens)


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

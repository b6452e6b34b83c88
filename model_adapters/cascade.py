"""A recogniser, then a text LLM that reads the transcript in place of the audio.

What it gets right can be told from the words alone. `transcript` is the mini pair with the task's own
transcripts; here any recogniser that `hf:` loads and any chat LLM of transformers stand in a card.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evalkit.model import Card, LoadOptions, Model, ModelInfo, Prepared, Request, Response
from model_adapters import hub, whisper
from model_adapters.audio_llm import answers, llm
from model_adapters.audio_llm.loading import count_stored, pick_device, pick_dtype
from model_adapters.audio_llm.openings import Openings
from model_adapters.audio_llm.tree import Opening
from model_adapters.backbone import resolve
from model_adapters.read_out import IN_PLACE, TRANSCRIPT_TOKENS, embedded, read_out

# Part of the fingerprint: raise it whenever a change here changes an answer.
CODE_VERSION = 2
# Names the mini backbone's recogniser or LLM.
BACKBONE = "backbone"


@dataclass(frozen=True, slots=True)
class Heard:
    """A request of its own to the recogniser for each audio, and the choices' tokens."""

    recordings: tuple[Prepared, ...]
    choices: tuple[tuple[int, ...], ...]


class Cascade:
    """The recogniser's transcript in the audio's place, then the LLM's own chat template."""

    def __init__(self, recogniser: Model, model: Any, tokenizer: Any, info: ModelInfo) -> None:
        self.info = info
        self._recogniser = recogniser
        self._llm = model
        self._openings = Openings(model)
        self._tokenizer = tokenizer

    def prepare(self, request: Request) -> Prepared:
        settings = replace(request.settings, do_sample=False, stop=(), max_new_tokens=TRANSCRIPT_TOKENS)
        alone = replace(request, choices=(), settings=settings)
        recordings = tuple(
            self._recogniser.prepare(replace(alone, audios=(audio,))) for audio in request.audios
        )
        choices = tuple(
            tuple(self._tokenizer(choice, add_special_tokens=False).input_ids) for choice in request.choices
        )
        return Prepared(request, Heard(recordings, choices), 1 + sum(one.cost for one in recordings))

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        asked = [prepared.request.settings for prepared in batch]
        prompts, opening = self._read(batch)
        return answers.generated(
            self._llm, self._tokenizer, prompts, asked, [self._tokenizer.eos_token_id], opening=opening
        )

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        prompts, opening = self._read(batch)
        choices = [prepared.payload.choices for prepared in batch]
        return answers.weighed(self._llm, prompts, choices, opening)

    def _read(self, batch: Sequence[Prepared]) -> tuple[list[Tensor], Opening]:
        """Input embeddings [tokens, d] of every prompt, and what all of them begin with."""
        prompts = self._prompts(batch)
        return [embedded(self._llm, prompt) for prompt in prompts], self._openings.of_texts(prompts)

    def _prompts(self, batch: Sequence[Prepared]) -> list[tuple[int, ...]]:
        """The tokens of every prompt, after hearing its recordings."""
        recordings = [one for prepared in batch for one in prepared.payload.recordings]
        heard = iter(self._recogniser.generate(recordings) if recordings else [])
        return [
            read_out(
                self._tokenizer,
                prepared.request.messages,
                [next(heard).text or "" for _ in prepared.payload.recordings],
            )
            for prepared in batch
        ]


def load(card: Card, options: LoadOptions) -> Cascade:
    """Entry point `cascade` of the group `evalkit.models`.

    The card's config names `asr` and `llm`: ORG/NAME on the hub, a folder, or `backbone`.
    """
    known = info(card, options)
    dtype, device = getattr(torch, known.dtype), torch.device(known.device)
    ears, loader = _recogniser(card, options)
    folder, _ = _llm(card, options)
    model, tokenizer = llm.load_llm(folder, dtype, device)
    return Cascade(loader.load(ears, replace(options, args={})), model, tokenizer, known)


def info(card: Card, options: LoadOptions) -> ModelInfo:
    """Entry point `cascade` of the group `evalkit.infos`: what is known without loading the weights."""
    if options.args:
        raise ValueError(f"{card.name} takes no --model-args, but got {', '.join(sorted(options.args))}")
    if sorted(card.config) != ["asr", "llm"]:
        raise ValueError(f"{card.name}: its config needs `asr` and `llm`, and nothing else")
    ears, loader = _recogniser(card, options)
    heard: ModelInfo = loader.info(ears, options)
    folder, source = _llm(card, options)
    device = pick_device(options.device)
    parameters = heard.parameters + count_stored(folder, "")
    return replace(
        heard,
        name=card.name,
        fingerprint=whisper.fingerprint(
            code=CODE_VERSION, asr=heard.fingerprint, llm=source, in_place=IN_PLACE
        ),
        dtype=str(pick_dtype(options.dtype, device)).removeprefix("torch."),
        parameters=parameters,
        active_parameters=parameters,
        sources={**{f"asr {name}": text for name, text in heard.sources.items()}, "llm": source},
    )


def _recogniser(card: Card, options: LoadOptions) -> tuple[Card, Any]:
    """The recogniser's card and the adapter that loads it."""
    name = str(card.config["asr"])
    if name == BACKBONE:
        return replace(card, loader="whisper", config={}), whisper
    return hub.adapter(replace(card, config={"model": name}), options)


def _llm(card: Card, options: LoadOptions) -> tuple[Path, str]:
    """Where the LLM is, and what its identity is."""
    name = str(card.config["llm"])
    if name == BACKBONE:
        backbone = resolve(options.backbone)
        return backbone.llm, f"backbone {backbone.fingerprint}"
    weights = hub.fetch_weights(replace(card, config={"model": name}), options)
    return weights.folder, weights.identity

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
        return answers.generated(
            self._llm, self._tokenizer, self._prompts(batch), asked, [self._tokenizer.eos_token_id]
        )

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        return answers.weighed(
            self._llm, self._prompts(batch), [prepared.payload.choices for prepared in batch]
        )

    def _prompts(self, batch: Sequence[Prepared]) -> list[Tensor]:
        recordings = [one for prepared in batch for one in prepared.payload.recordings]
        heard = iter(self._recogniser.generate(recordings) if recordings else [])
        return [
            self._prompt(prepared.request, [next(heard).text or "" for _ in prepared.payload.recordings])
            for prepared in batch
        ]

    def _prompt(self, request: Request, transcripts: Sequence[str]) -> Tensor:
        """Input embeddings [tokens, d]."""
        return embedded(self._llm, read_out(self._tokenizer, request.messages, transcripts))


def load(card: Card, options: LoadOptions) -> Cascade:
    """Entry point `cascade` of the group `evalkit.models`.

    The card's config names `asr` and `llm`: ORG/NAME on the hub, a folder, or `backbone`.
    """
    known = info(card, options)
    dtype, device = getattr(torch, known.dtype), torch.device(known.device)
    ears, loader = _recogniser(card, options)
    folder, _ = _llm(card, options)
    if str(card.config["llm"]) == BACKBONE:
        model, tokenizer = llm.load_llm(folder, dtype, device)
    else:
        model, tokenizer = _load_llm(folder, dtype, device)
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


def _load_llm(folder: Path, dtype: torch.dtype, device: torch.device) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).requires_grad_(False).eval().to(device)
    problem = _problem(model)
    if problem:
        raise ValueError(
            f"the LLM {type(model).__name__} {problem}, for which a cascade has no loop; name another LLM"
        )
    if model.lm_head.bias is None:
        model.lm_head = llm.Fp32Head(model.lm_head.weight.detach())
    return model, AutoTokenizer.from_pretrained(folder)


@torch.inference_mode()
def _problem(model: Any) -> str:
    """Why the loops of `decoding` would not read this LLM as it reads itself; "" if they would."""
    from transformers.cache_utils import DynamicLayer

    if not (hasattr(model, "model") and hasattr(model, "lm_head")):
        return "has no layers `model` and `lm_head`"
    tokens = torch.arange(4, device=model.device)[None]
    read = model.model(tokens, use_cache=True)
    layers = getattr(read.get("past_key_values"), "layers", [])
    if not layers or any(type(layer) is not DynamicLayer for layer in layers):
        return "has layers that do not attend to the whole prompt"
    logits = model.lm_head(read.last_hidden_state).float()
    if not torch.allclose(logits, model(tokens).logits.float(), rtol=1e-3, atol=1e-3):
        return "changes the values of its output layer"
    return ""

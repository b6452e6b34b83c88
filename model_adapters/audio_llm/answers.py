"""From a language model and its prompts to responses: text, or choices weighed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from evalkit.model import GenerationSettings, Response
from model_adapters.audio_llm.decoding import Head, choice_logprobs, decode
from model_adapters.audio_llm.tree import NO_OPENING, Opening
from model_adapters.stops import until

NOT_FINITE = "the model gave logits that are NaN or infinite"


def generated(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Tensor],
    asked: Sequence[GenerationSettings],
    stop_tokens: Sequence[int],
    heads: Sequence[Head | None] = (),
    opening: Opening = NO_OPENING,
) -> list[Response]:
    """The text that follows each prompt [n_i, d], up to a stop token or string.

    asked: alike but for their seeds; heads, opening: as `decode` takes them.
    """
    settings, seeds = asked[0], [one.seed for one in asked]
    written = decode(model, prompts, settings, stop_tokens, seeds=seeds, heads=heads, opening=opening)
    responses = []
    for prompt, tokens in zip(prompts, written, strict=True):
        if tokens is None:
            responses.append(Response(finish_reason="error", error=NOT_FINITE))
            continue
        text, stopped = until(tokenizer.decode(tokens, skip_special_tokens=True), settings.stop)
        responses.append(
            Response(
                text=text,
                finish_reason="length" if len(tokens) >= settings.max_new_tokens and not stopped else "stop",
                input_tokens=len(prompt),
                output_tokens=len(tokens),
            )
        )
    return responses


def weighed(
    model: Any,
    prompts: Sequence[Tensor],
    choices: Sequence[Sequence[Sequence[int]]],
    opening: Opening = NO_OPENING,
) -> list[Response]:
    """The log-likelihood of each of its choices (token ids) after each prompt [n_i, d], which begins with the
    opening."""
    tokens = [[torch.tensor(choice, device=model.device) for choice in offered] for offered in choices]
    return [
        Response(
            choice_logprobs=tuple(scores),
            choice_tokens=tuple(map(len, offered)),
            finish_reason="choices",
            input_tokens=len(prompt),
        )
        for prompt, offered, scores in zip(
            prompts, choices, choice_logprobs(model, prompts, tokens, opening), strict=True
        )
    ]

"""From a language model and its prompts to responses: text, or choices weighed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from evalkit.model import GenerationSettings, Response
from model_adapters.audio_llm import llm
from model_adapters.stops import until


def generated(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Tensor],
    settings: GenerationSettings,
    stop_tokens: Sequence[int],
) -> list[Response]:
    """The text that follows each prompt [n_i, d], up to a stop token or string."""
    written = llm.decode(model, prompts, settings, stop_tokens)
    responses = []
    for prompt, tokens in zip(prompts, written, strict=True):
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
    model: Any, prompts: Sequence[Tensor], choices: Sequence[Sequence[Sequence[int]]]
) -> list[Response]:
    """The log-likelihood of each of its choices (token ids) after each prompt [n_i, d]."""
    responses = []
    for prompt, offered in zip(prompts, choices, strict=True):
        tokens = [torch.tensor(choice, device=prompt.device) for choice in offered]
        scores = llm.continuation_logprobs(model, [prompt] * len(tokens), tokens)
        responses.append(
            Response(
                choice_logprobs=tuple(scores.tolist()),
                choice_tokens=tuple(map(len, offered)),
                finish_reason="choices",
                input_tokens=len(prompt),
            )
        )
    return responses

"""Calling a model so that one bad sample costs one sample."""

from __future__ import annotations

import gc
import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from evalkit.model import FinishReason, Model, ModelUnavailableError, Prepared, Request, Response
from evalkit.results.provenance import without_home
from evalkit.runner.deadline import deadline
from evalkit.runner.fitting import Fit
from evalkit.text.secrets import without_secrets

MAX_REASON = 500
OUT_OF_MEMORY = "out of memory"
# How torch says it, small: allocators of GPUs, that of the CPU, and libraries such as cuBLAS.
_NO_MEMORY = (OUT_OF_MEMORY, "can't allocate memory", "alloc_failed")
FINISH_REASONS = get_args(FinishReason)

logger = logging.getLogger(__name__)


class DeviceLostError(RuntimeError):
    """The device no longer answers, so that every further sample would fail for no fault of its own."""


def answer(
    model: Model, batch: Sequence[Prepared], seconds: float = math.inf, fit: Fit | None = None
) -> list[Response]:
    """One checked Response per item, in order. seconds: how long a sample may take, a batch as many times that.

    Out of memory halves the batch, and `fit` remembers it for the batches to come; any other exception runs the
    items one by one, so that only the guilty sample becomes an error Response. Raises DeviceLostError when the
    device or the model's server has failed for good.
    """
    fit = fit or Fit()
    before = fit.tokens
    responses = _in_parts(model, batch, seconds, fit)
    if any(one.error is not None and one.error.startswith(OUT_OF_MEMORY) for one in responses):
        # A sample that does not even fit alone says nothing about the others.
        fit.tokens = before
    return responses


def _in_parts(model: Model, batch: Sequence[Prepared], seconds: float, fit: Fit) -> list[Response]:
    left, responses = batch, list[Response]()
    while left:
        part = fit.first(left)
        responses += _answer(model, part, seconds, fit)
        left = left[len(part) :]
    return responses


def _answer(model: Model, batch: Sequence[Prepared], seconds: float, fit: Fit) -> list[Response]:
    try:
        with deadline(seconds * len(batch)):
            return _call(model, batch)
    except ModelUnavailableError as error:
        raise DeviceLostError(f"{error}; finished answers are kept: run the same command to go on") from error
    except Exception as error:
        if _device_lost(error):
            ids = ", ".join(prepared.request.sample_id for prepared in batch[:8])
            raise DeviceLostError(
                f"the device failed in the batch of {ids}: {reason(error)}; run the same command again"
            ) from error
        if len(batch) == 1:
            return [failed(error)]
        logger.debug("a batch of %d failed and is split", len(batch), exc_info=True)
        out_of_memory = is_out_of_memory(error)
    # Out of the except clause the failed call's frames, and the tensors they hold, are gone.
    if out_of_memory:
        _free_memory()
        fit.halve(batch)
        return _in_parts(model, batch, seconds, fit)
    return [response for one in batch for response in _answer(model, [one], seconds, fit)]


def failed(error: Exception) -> Response:
    """The error Response for an exception."""
    logger.debug("a sample failed", exc_info=error)
    return error_response(reason(error))


def error_response(why: str) -> Response:
    return Response(finish_reason="error", error=why)


def reason(error: BaseException) -> str:
    """One line that says what went wrong: bad input in its own words, anything else with its type."""
    text = str(error)
    if is_out_of_memory(error):
        text = f"{OUT_OF_MEMORY}: {text}"
    elif not isinstance(error, ValueError | OSError) or not text:
        text = f"{type(error).__name__}: {text}"
    return _told(text.strip().removesuffix(":"))


def _told(text: str) -> str:
    """One line of bounded length that names neither the user nor a key."""
    text = " ".join(without_secrets(without_home(text)).split())
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 3] + "..."


def is_out_of_memory(error: BaseException) -> bool:
    """By name and message, so that torch need not be loaded to ask."""
    named = type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError)
    if named or not isinstance(error, RuntimeError):
        return named
    text = str(error).lower()
    return any(words in text for words in _NO_MEMORY)


def _call(model: Model, batch: Sequence[Prepared]) -> list[Response]:
    """All items of a batch ask the same kind of question: a task has one output type."""
    scoring = bool(batch[0].request.choices)
    responses = model.score_choices(batch) if scoring else model.generate(batch)
    if len(responses) != len(batch):
        raise RuntimeError(f"the model returned {len(responses)} responses to {len(batch)} requests")
    return [_checked(one, prepared.request) for one, prepared in zip(responses, batch, strict=True)]


def _checked(response: Response, request: Request) -> Response:
    """The response in plain numbers, or an error Response that says why it cannot stand."""
    if response.error is not None:
        return error_response(_told(str(response.error)))
    if response.finish_reason not in FINISH_REASONS:
        return error_response(f"the model gave an unknown finish reason {response.finish_reason!r}")
    try:
        plain = _plain(response)
    except (TypeError, ValueError) as error:
        return error_response(f"the model gave a response that is not plain numbers ({error})")
    problem = _choice_problem(plain, len(request.choices)) if request.choices else _text_problem(plain)
    return error_response(problem) if problem else plain


def _plain(response: Response) -> Response:
    """Numpy's and torch's numbers as Python's, which JSON can hold."""
    return replace(
        response,
        choice_logprobs=tuple(float(value) for value in response.choice_logprobs),
        choice_tokens=tuple(int(value) for value in response.choice_tokens),
        input_tokens=int(response.input_tokens),
        output_tokens=int(response.output_tokens),
        cost=float(response.cost),
    )


def _text_problem(response: Response) -> str:
    return "" if isinstance(response.text, str) else "the model returned no text"


def _choice_problem(response: Response, due: int) -> str:
    if not response.choice_logprobs and response.text is not None:
        return _text_problem(response)
    found = len(response.choice_logprobs)
    if found != due:
        return f"the model scored {found} of {due} choices"
    if not all(math.isfinite(value) for value in response.choice_logprobs):
        return "the model gave a choice a log-likelihood that is not finite"
    if len(response.choice_tokens) not in (0, due):
        return f"the model counted the tokens of {len(response.choice_tokens)} of {due} choices"
    return ""


def _device_lost(error: Exception) -> bool:
    """After a CUDA error other than out-of-memory no call in this process succeeds any more."""
    text = str(error)
    return isinstance(error, RuntimeError) and "CUDA error" in text and not is_out_of_memory(error)


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()

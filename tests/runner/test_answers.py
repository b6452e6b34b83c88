from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from tiny_model import TinyModel

from evalkit.model import Message, ModelUnavailableError, Prepared, Request, Response
from evalkit.runner.answers import MAX_REASON, DeviceLostError, answer, reason

CHOICES = ("yes", "no")


def batch_of(n: int, choices: tuple[str, ...] = ()) -> list[Prepared]:
    requests = (
        Request(f"s{index}", (Message("user", (f"ask {index}",)),), (), choices) for index in range(n)
    )
    return [Prepared(request, None, 1) for request in requests]


class Fixed(TinyModel):
    """Gives the responses it was told to give."""

    def __init__(self, responses: list[Response]) -> None:
        super().__init__()
        self.responses = responses

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        return self.responses

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        return self.responses


def test_out_of_memory_halves_the_batch_until_it_fits() -> None:
    def no_more_than_two(batch: Sequence[Prepared]) -> None:
        if len(batch) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    model = TinyModel(fault=no_more_than_two)
    assert answer(model, batch_of(7)) == answer(TinyModel(), batch_of(7))
    assert model.batches == [("s0", "s1"), ("s2", "s3"), ("s4", "s5"), ("s6",)]


class OutOfMemoryError(RuntimeError):
    """Called as torch's own."""


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("x"),
        MemoryError(),
        MemoryError("numpy"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError(
            "[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
        ),
    ],
)
def test_every_kind_of_out_of_memory_costs_only_the_sample_that_never_fits(error: Exception) -> None:
    def huge(batch: Sequence[Prepared]) -> None:
        if any(one.request.sample_id == "s3" for one in batch):
            raise error

    responses = answer(TinyModel(fault=huge), batch_of(8))
    assert [response.error is None for response in responses] == [True] * 3 + [False] + [True] * 4
    assert str(responses[3].error).startswith("out of memory")


def test_only_the_guilty_sample_of_a_batch_becomes_an_error() -> None:
    def guilty(batch: Sequence[Prepared]) -> None:
        if any(one.request.sample_id == "s1" for one in batch):
            raise IndexError("index 7 is out of range")

    responses = answer(TinyModel(fault=guilty), batch_of(4))
    whole = answer(TinyModel(), batch_of(4))
    assert responses[1] == Response(finish_reason="error", error="IndexError: index 7 is out of range")
    assert [responses[place] for place in (0, 2, 3)] == [whole[place] for place in (0, 2, 3)]


def test_a_keyboard_interrupt_is_not_a_failed_sample() -> None:
    def interrupt(batch: Sequence[Prepared]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(TinyModel(fault=interrupt), batch_of(2))


def test_a_lost_device_stops_the_run_and_blames_no_sample() -> None:
    def lost(batch: Sequence[Prepared]) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(DeviceLostError, match=r"batch of s0, s1: .*device-side assert"):
        answer(TinyModel(fault=lost), batch_of(2))


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (Response(text=None), "the model returned no text"),
        (Response(error="refused", text="x"), "refused"),
        (Response(text=["a"]), "the model returned no text"),  # type: ignore[arg-type]
        (Response(text="a", finish_reason="bored"), "the model gave an unknown finish reason 'bored'"),  # type: ignore[arg-type]
    ],
)
def test_a_response_without_text_is_an_error(response: Response, why: str) -> None:
    assert answer(Fixed([response]), batch_of(1)) == [Response(finish_reason="error", error=why)]


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (Response(choice_logprobs=(-1.0, math.nan)), "not finite"),
        (Response(choice_logprobs=(-1.0, -math.inf)), "not finite"),
        (Response(choice_logprobs=(-1.0,)), "scored 1 of 2 choices"),
        (Response(choice_logprobs=(-1.0, None)), "not plain numbers"),  # type: ignore[arg-type]
        (Response(), "scored 0 of 2 choices"),
        (Response(choice_logprobs=(-1.0, -2.0), choice_tokens=(1,)), "tokens of 1 of 2 choices"),
    ],
)
def test_choices_without_a_finite_likelihood_each_are_an_error(response: Response, why: str) -> None:
    (found,) = answer(Fixed([response]), batch_of(1, CHOICES))
    assert why in str(found.error)
    assert found.choice_logprobs == ()


def test_choices_answered_in_text_stand_for_scoring_to_read() -> None:
    said = Response(text="yes", cost=0.01)
    assert answer(Fixed([said]), batch_of(1, CHOICES)) == [said]


def test_a_model_that_is_gone_ends_the_run_instead_of_failing_every_sample() -> None:
    def gone(batch: Sequence[Prepared]) -> None:
        raise ModelUnavailableError("no server answers")

    model = TinyModel(fault=gone)
    with pytest.raises(DeviceLostError, match="no server answers; finished answers are kept"):
        answer(model, batch_of(4))
    assert len(model.batches) <= 1


def test_good_choices_pass() -> None:
    good = Response(choice_logprobs=(-1.0, -2.0), choice_tokens=(1, 2), finish_reason="choices")
    assert answer(Fixed([good]), batch_of(1, CHOICES)) == [good]


def test_numbers_of_numpy_become_numbers_that_json_can_hold() -> None:
    given = Response(
        choice_logprobs=(np.float32(-1.5), np.float64(-2.0)),
        choice_tokens=(np.int64(1), np.int64(2)),  # type: ignore[arg-type]
        input_tokens=np.int32(9),  # type: ignore[arg-type]
        finish_reason="choices",
    )
    (found,) = answer(Fixed([given]), batch_of(1, CHOICES))
    assert json.loads(json.dumps(asdict(found)))["choice_logprobs"] == [-1.5, -2.0]
    assert type(found.input_tokens) is int


def test_a_wrong_number_of_responses_is_never_assigned_to_samples() -> None:
    responses = answer(Fixed([Response(text="a"), Response(text="b")]), batch_of(3))
    assert {response.error for response in responses} == {
        "RuntimeError: the model returned 2 responses to 1 requests"
    }


def test_a_reason_is_one_short_line_without_the_home_folder() -> None:
    error = ValueError(f"cannot read\n  {Path.home()}/a.wav " + "x" * 1000)
    text = reason(error)
    assert text.startswith("cannot read ~/a.wav x")
    assert len(text) == MAX_REASON
    assert reason(KeyError("k")) == "KeyError: 'k'"
    assert reason(ValueError()) == "ValueError"


def test_nothing_to_answer() -> None:
    assert answer(TinyModel(), []) == []

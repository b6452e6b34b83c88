"""What is counted and timed: operations against their number, times by turns, the audio that no cache knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from evalkit.diagnostics.cost import Times, counted_flops, diagnose_cost, peak_memory, spoken, timed
from evalkit.model import Audio, AudioSlot, GenerationSettings, Message, Prepared, Request, Response
from evalkit.tasks.schema import Task

Made = Callable[..., Any]


def quiet(text: str) -> None:
    """Say nothing."""


def test_attention_on_a_cpu_is_counted_as_two_products() -> None:
    query, key = torch.ones(2, 3, 5, 8), torch.ones(2, 3, 7, 8)
    with torch.inference_mode():
        found = counted_flops(lambda: torch.nn.functional.scaled_dot_product_attention(query, key, key))
    assert found == 2 * (2 * 2 * 3 * 5 * 7 * 8)


def test_a_packed_linear_layer_is_counted_like_a_plain_one() -> None:
    from model_adapters.audio_llm.packed import PackedLinear, can_pack

    weight, x = torch.ones(7, 5), torch.ones(3, 5)
    assert can_pack(weight)
    packed = PackedLinear(weight, None)
    with torch.inference_mode():
        assert counted_flops(lambda: packed(x)) == counted_flops(lambda: x @ weight.T) == 2 * 3 * 5 * 7


def test_models_take_turns_and_the_first_rounds_do_not_count() -> None:
    order: list[str] = []
    found = timed({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, quiet, rounds=3)
    assert order == ["a", "b", "b", "a", "a", "b", "b", "a", "a", "b"]
    assert all(len(times.rounds) == 3 for times in found.values())


def test_the_median_has_the_interval_of_its_order_statistics() -> None:
    times = Times(tuple(float(i) for i in range(1, 16)))
    assert times.median == 8
    assert times.bounds() == (4, 12)  # P(4 <= Binomial(15, 1/2) <= 11) = 0.965
    assert Times((2.0, 4.0, 60.0)).ratio(Times((1.0, 2.0, 3.0))) == 2


def test_formula_and_counter_stand_side_by_side_and_disagreement_is_told(
    ear: Made, tasks: list[Task]
) -> None:
    report = diagnose_cost([ear()], tasks[:1], 2, paper_scale=False, say=quiet)
    (size,) = report.tables[0].dicts()
    assert (size["FLOP/token, formula"], size["counted"], size["MFLOP/audio s"]) == (40, 40, 40 * 12.5 / 1e6)
    assert not any("disagree" in note for note in report.notes)

    class Wrong(ear):  # type: ignore[misc, valid-type]
        def run_projector(self, tokens: int) -> None:
            torch.ones(tokens, 4) @ torch.ones(4, 6)

    report = diagnose_cost([Wrong()], tasks[:1], 2, paper_scale=False, say=quiet)
    assert "ear: formula (40) and counter (48) disagree: trust neither" in report.notes


def test_at_the_papers_scale_the_projectors_run_alone(ear: Made, tasks: list[Task]) -> None:
    report = diagnose_cost([ear()], tasks, 2, paper_scale=True, say=quiet)
    assert [table.name for table in report.tables] == ["projector-size", "projector-time"]
    assert any("random weights, 4 in, 5 out" in note for note in report.notes)


class Clockwork:
    """Says three tokens unless told to be shorter, and keeps what it heard."""

    def __init__(self, made: Any) -> None:
        self.info = made.info
        self.heard: list[bytes] = []
        self.longest: list[int] = []

    def prepare(self, request: Request) -> Prepared:
        self.heard.append(request.audios[0].samples.tobytes())
        return Prepared(request, None, 1)

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        self.longest.append(batch[0].request.settings.max_new_tokens)
        return [Response(text="", output_tokens=min(3, self.longest[-1]))]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        raise NotImplementedError


def test_every_call_hears_other_samples_and_first_tokens_are_timed_apart(ear: Made) -> None:
    model = Clockwork(ear())
    audio = Audio(np.full(16_000, 0.5, dtype=np.float32), 16_000, "0")
    request = Request("a", (Message("user", (AudioSlot(0),)),), (audio,), (), GenerationSettings(9))
    found = spoken(model, [request, request], quiet)
    assert len(set(model.heard)) == len(model.heard) == 6
    assert model.longest == [2, 9, 1, 9, 1, 9]
    assert (found.tokens, found.audio_seconds, len(found.first)) == (6, 2, 2)


def test_peak_memory_is_what_was_held_for_the_while() -> None:
    with peak_memory("cpu") as found:
        held = np.ones(40 * 2**20 // 8)
        del held
    (extra,) = found
    assert extra is None or 35 < extra < 80


def test_a_model_whose_projector_cannot_run_alone_is_named(tasks: list[Task]) -> None:
    class Closed:
        info = type("Info", (), {"name": "closed"})

    with pytest.raises(ValueError, match="closed has no projector that can be run alone"):
        diagnose_cost([Closed()], tasks, 2, paper_scale=False, say=quiet)  # type: ignore[list-item]

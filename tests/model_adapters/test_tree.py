"""Trunks and branches read together against each leaf read by itself."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_llama import tiny_llama

from model_adapters.audio_llm.tree import NO_OPENING, Opening, Unit, continue_from, place, read, read_opening

UNITS = st.lists(
    st.tuples(st.integers(1, 50), st.lists(st.integers(0, 9), max_size=5)), min_size=1, max_size=20
)


@given(UNITS)
def test_units_have_places_of_their_own_in_rows_no_longer_than_the_longest(
    shapes: list[tuple[int, list[int]]],
) -> None:
    lengths = [trunk + sum(branches) for trunk, branches in shapes]
    taken: set[tuple[int, int]] = set()
    for here, (trunk, branches), length in zip(
        place(lengths, [branches for _, branches in shapes]), shapes, lengths, strict=True
    ):
        spans = [(here.start, trunk), *zip(here.branches, branches, strict=True)]
        mine = [(here.row, at) for start, size in spans for at in range(start, start + size)]
        assert len(mine) == length
        assert mine[-1][1] < max(lengths)
        assert taken.isdisjoint(mine)
        taken.update(mine)


def embeddings(length: int, seed: int) -> torch.Tensor:
    return torch.randn(length, 32, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def units() -> list[Unit]:
    return [
        Unit(embeddings(9, 1), tuple(embeddings(n, 10 + n) for n in (3, 1, 4))),
        Unit(embeddings(6, 2)),
        Unit(embeddings(2, 3), (embeddings(2, 4), embeddings(5, 5))),
        Unit(embeddings(2, 6)),
    ]


@pytest.mark.parametrize("tokens", [(), (5, 3, 8, 90, 2)])
@torch.inference_mode()
def test_every_leaf_goes_on_as_if_it_had_been_read_alone(units: list[Unit], tokens: tuple[int, ...]) -> None:
    model = tiny_llama()
    opening = read_opening(model, tokens) if tokens else NO_OPENING
    hidden, cache, real = continue_from(read(model, units, opening))
    beginning = model.get_input_embeddings()(torch.tensor(tokens, dtype=torch.long))
    leaves = [
        torch.cat([beginning, unit.trunk, *branch])
        for unit in units
        for branch in ([(b,) for b in unit.branches] or [()])
    ]
    assert real.sum(1).tolist() == [len(leaf) for leaf in leaves]
    for index, leaf in enumerate(leaves):
        alone = model.model(inputs_embeds=leaf[None], use_cache=True)
        torch.testing.assert_close(hidden[index], alone.last_hidden_state[0, -1], rtol=1e-4, atol=1e-5)
        for layer, expected in zip(cache.layers, alone.past_key_values.layers, strict=True):
            for mine, its in ((layer.keys, expected.keys), (layer.values, expected.values)):
                torch.testing.assert_close(mine[index][:, real[index]], its[0], rtol=1e-4, atol=1e-5)


def test_units_are_read_in_fewer_positions_than_one_after_the_other(units: list[Unit]) -> None:
    with torch.inference_mode():
        reading = read(tiny_llama(), units)
    assert reading.hidden.shape[:2] == (2, 17)


@torch.inference_mode()
def test_units_of_one_length_follow_an_opening_without_a_mask_and_leave_it_as_it_was() -> None:
    model = tiny_llama()
    opening = read_opening(model, (5, 3, 8))
    kept = Opening(opening.tokens, tuple((keys.clone(), values.clone()) for keys, values in opening.layers))
    units = [Unit(embeddings(4, seed)) for seed in (1, 2)]
    beside = read(model, [*units, Unit(embeddings(3, 3))], opening).hidden
    torch.testing.assert_close(read(model, units, opening).hidden, beside[:2], rtol=1e-4, atol=1e-5)
    for now, before in zip(opening.layers, kept.layers, strict=True):
        torch.testing.assert_close(now, before, rtol=0, atol=0)


@torch.inference_mode()
def test_a_prompt_alone_needs_no_mask_and_is_read_the_same() -> None:
    model, prompt = tiny_llama(), Unit(embeddings(7, 1))
    masks: list[object] = []
    model.model.register_forward_pre_hook(
        lambda module, args, given: masks.append(given["attention_mask"]), with_kwargs=True
    )
    alone = read(model, [prompt]).hidden
    beside = read(model, [prompt, Unit(embeddings(5, 2))]).hidden
    assert [mask is None for mask in masks] == [True, False]
    torch.testing.assert_close(alone[0], beside[0], rtol=1e-4, atol=1e-5)

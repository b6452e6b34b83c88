from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from model_adapters.audio_llm.decoding import choice_logprobs
from model_adapters.audio_llm.llm import pack
from model_adapters.audio_llm.packed import PackedLinear, pack_linears

SHAPES = [(576, 576), (1536, 576), (512, 2048)]


def layer(inside: int, outside: int, *, bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inside, outside, bias=bias)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_packed_layer_computes_what_the_layer_computes(dtype: torch.dtype, bias: bool) -> None:
    plain = layer(48, 80, bias=bias).to(dtype)
    x = torch.randn(3, 5, 48, dtype=dtype)
    with torch.inference_mode():
        out = PackedLinear(plain.weight, plain.bias)(x)
        assert out.shape == (3, 5, 80)
        torch.testing.assert_close(out, plain(x))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_rows_result_does_not_depend_on_the_rows_beside_it(shape: tuple[int, int]) -> None:
    plain = layer(*shape)
    packed = PackedLinear(plain.weight, plain.bias)
    x = torch.randn(300, shape[0])
    with torch.inference_mode():
        together = packed(x)
        for rows in (1, 2, 3, 8, 16, 100):
            assert torch.equal(packed(x[:rows]), together[:rows])
        assert torch.equal(packed(x[7]), together[7])


def test_the_weights_can_be_read_back() -> None:
    plain = layer(48, 80)
    assert torch.equal(PackedLinear(plain.weight, plain.bias).weight, plain.weight)


def test_gradients_pass_through_to_the_input() -> None:
    plain = layer(48, 80)
    x = torch.randn(5, 48, requires_grad=True)
    (expected,) = torch.autograd.grad(plain(x).square().sum(), x)
    (found,) = torch.autograd.grad(PackedLinear(plain.weight, plain.bias)(x).square().sum(), x)
    torch.testing.assert_close(found, expected)


def test_every_linear_layer_of_a_model_is_packed() -> None:
    model = nn.Sequential(layer(8, 8), nn.ModuleDict({"inner": layer(8, 8)}), nn.LayerNorm(8))
    pack_linears(model)
    assert not any(isinstance(module, nn.Linear) for module in model.modules())
    assert sum(isinstance(module, PackedLinear) for module in model.modules()) == 2


def test_a_packed_language_model_scores_as_the_plain_one(smollm: tuple[Any, Any]) -> None:
    plain, tokenizer = smollm
    packed = copy.deepcopy(plain)
    pack(packed)
    ids = torch.tensor(tokenizer("The capital of France is").input_ids)
    prompt = plain.get_input_embeddings()(ids)
    choices = [[torch.tensor(tokenizer(name).input_ids) for name in (" Paris", " Lyon", " a large city")]]
    expected = choice_logprobs(plain, [prompt], choices)[0]
    assert choice_logprobs(packed, [prompt], choices)[0] == pytest.approx(expected, abs=1e-3)

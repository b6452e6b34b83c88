"""Training and merging LoRA against peft."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_llama import tiny_llama

from model_adapters.audio_llm.config import LoraConfig
from model_adapters.audio_llm.llm import merge_lora
from model_adapters.audio_llm.training.tune import add_lora, lora_state


def with_trained_lora(model: Any, config: LoraConfig) -> Any:
    add_lora(model, config, seed=0)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.2 * torch.randn_like(parameter))
    return model


def test_merging_gives_what_peft_computes_and_what_peft_merges() -> None:
    from peft.tuners.lora import LoraLayer

    config = LoraConfig(rank=3, alpha=7.0)
    ids = torch.arange(20)[None]
    adapted = with_trained_lora(tiny_llama(), config)
    ours = tiny_llama()
    merge_lora(ours, lora_state(adapted), config.scale)
    with torch.inference_mode():
        expected = adapted(ids).logits
        assert not torch.allclose(tiny_llama()(ids).logits, expected, atol=1e-2)
        torch.testing.assert_close(ours(ids).logits, expected, rtol=1e-4, atol=1e-5)
    layers = {name: module for name, module in adapted.named_modules() if isinstance(module, LoraLayer)}
    assert len(layers) == 2 * 7
    for name, layer in layers.items():
        layer.merge()
        torch.testing.assert_close(
            ours.get_submodule(name).weight, layer.base_layer.weight, rtol=1e-5, atol=1e-6
        )


def test_only_the_lora_is_trained_and_it_starts_without_effect() -> None:
    ids = torch.arange(20)[None]
    model, plain = tiny_llama(), tiny_llama()
    add_lora(model, LoraConfig(rank=2, alpha=4.0), seed=0)
    assert torch.equal(model(ids).logits, plain(ids).logits)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == 2 * 7 * 2
    assert all("lora_" in name for name in trained)


def test_lora_for_a_layer_that_is_not_there_is_refused() -> None:
    weights = {"model.layers.9.mlp.up_proj.lora_A.weight": torch.ones(2, 32)}
    weights["model.layers.9.mlp.up_proj.lora_B.weight"] = torch.ones(48, 2)
    with pytest.raises(ValueError, match=r"'model\.layers\.9\.mlp\.up_proj', which this LLM does not have"):
        merge_lora(tiny_llama(), weights, 1.0)


@pytest.mark.parametrize("shape", [(48, 2), (47, 2), (48, 3)])
def test_lora_of_another_shape_is_refused(shape: tuple[int, int]) -> None:
    name = "model.layers.0.mlp.down_proj"
    weights = {f"{name}.lora_A.weight": torch.ones(2, 32), f"{name}.lora_B.weight": torch.ones(shape)}
    with pytest.raises(ValueError, match=f"LoRA for '{name}'"):
        merge_lora(tiny_llama(), weights, 1.0)


def test_half_a_lora_is_refused() -> None:
    weights = {"model.layers.0.mlp.down_proj.lora_A.weight": torch.ones(2, 48)}
    with pytest.raises(ValueError, match=r"lora_B\.weight"):
        merge_lora(tiny_llama(), weights, 1.0)

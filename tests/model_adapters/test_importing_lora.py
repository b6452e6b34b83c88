"""LoRA that comes with a projector is carried over, and its alpha is never guessed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_checkpoints import (
    ATTENTION,
    LLM,
    D,
    TheirMoE,
    mapped,
    mlp,
    randomised,
    saved,
    take,
    weights,
)
from torch import Tensor, nn

from evalkit.cards import import_model, read_card, resolve_model
from evalkit.model import LoadOptions
from model_adapters.audio_llm.checkpoint import read_weights
from model_adapters.audio_llm.loading import load, read_config


def peft_names(adapter: str = ".default", start: str = "base_model.model.") -> dict[str, Tensor]:
    layer = f"{start}{ATTENTION}"
    return {
        f"{layer}.lora_A{adapter}.weight": torch.full((3, 9), 0.5),
        f"{layer}.lora_B{adapter}.weight": torch.full((9, 3), 0.25),
    }


def with_lora(folder: Path, lora: dict[str, Tensor]) -> Path:
    return saved(folder, {**weights(nn.Linear(D, LLM), "proj."), **lora})


@pytest.mark.parametrize("start", ["base_model.model.", "", "llm.base_model.model.", "llm.", "lora."])
@pytest.mark.parametrize("adapter", ["", ".default", ".audio"])
def test_lora_is_carried_over_under_the_plain_names_of_its_layers(
    tmp_path: Path, start: str, adapter: str
) -> None:
    source = with_lora(tmp_path, peft_names(adapter, start))
    report = take(tmp_path, source, mapped(tmp_path, lora_alpha=12))
    stored = read_weights(report.card.parent / "weights.safetensors").lora
    assert sorted(stored) == [f"{ATTENTION}.lora_A.weight", f"{ATTENTION}.lora_B.weight"]
    assert torch.equal(stored[f"{ATTENTION}.lora_A.weight"], torch.full((3, 9), 0.5))
    config = read_config(read_card(report.card))
    assert config.lora is not None
    assert (config.lora.rank, config.lora.scale) == (3, 4.0)
    assert "LoRA of rank 3 on 1 layers; alpha 12 is from the mapping file" in report.notes


def test_the_prefix_of_the_projector_does_not_leave_the_lora_out(tmp_path: Path) -> None:
    report = take(tmp_path, with_lora(tmp_path, peft_names()), mapped(tmp_path, prefix="proj.", lora_alpha=6))
    assert report.lora is not None


@pytest.mark.parametrize(("rslora", "scale"), [(False, 8.0), (True, 24 / math.sqrt(3))])
def test_alpha_comes_from_pefts_own_file_too(tmp_path: Path, rslora: bool, scale: float) -> None:
    config = {"lora_alpha": 24, "r": 3, "use_rslora": rslora}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    report = take(tmp_path, with_lora(tmp_path, peft_names()))
    assert report.lora is not None
    assert report.lora.scale == pytest.approx(scale)


def test_alpha_is_asked_for_and_never_guessed(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"LoRA of rank 3, but its alpha.*adapter_config\.json.*`lora_alpha: NUMBER`"
    ):
        take(tmp_path, with_lora(tmp_path, peft_names()))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "has no lora_alpha above zero"),
        ('{"lora_alpha": "8", "r": 3}', "has no lora_alpha above zero"),
        ('{"lora_alpha": 8, "r": 4}', "says rank 4, the weights have rank 3"),
        ('{"lora_alpha": 8, "r": 3, "use_dora": true}', "sets use_dora"),
        ('{"lora_alpha": 8, "r": 3, "rank_pattern": {"a": 2}}', "sets rank_pattern"),
    ],
)
def test_a_peft_file_that_says_something_else_is_refused(tmp_path: Path, config: str, message: str) -> None:
    (tmp_path / "adapter_config.json").write_text(config)
    with pytest.raises(ValueError, match=message):
        take(tmp_path, with_lora(tmp_path, peft_names()))


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ({**peft_names(".a"), **peft_names(".b")}, r"several LoRA adapters \(a, b\)"),
        (dict([next(iter(peft_names().items()))]), "is not a pair of matrices"),
        (
            {**peft_names(), "x.lora_A.weight": torch.ones(2, 9), "x.lora_B.weight": torch.ones(9, 2)},
            r"ranks \[2, 3\]",
        ),
        ({**peft_names(), f"{ATTENTION}.lora_magnitude_vector": torch.ones(9)}, "cannot be read"),
        (
            {"x.lora_A.weight": torch.ones(3, 9, 1, 1), "x.lora_B.weight": torch.ones(9, 3, 1, 1)},
            "is not a pair",
        ),
    ],
    ids=["two", "half", "ranks", "dora", "conv"],
)
def test_lora_that_cannot_be_merged_is_refused(tmp_path: Path, lora: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        take(tmp_path, with_lora(tmp_path, lora), mapped(tmp_path, lora_alpha=8))


def test_a_lora_alone_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds a LoRA but no projector"):
        take(tmp_path, saved(tmp_path, peft_names()), mapped(tmp_path, lora_alpha=8))


def test_the_importer_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    card, report = import_model(saved(tmp_path, weights(TheirMoE())), "mine", "audio_llm", None)
    assert resolve_model("mine").path == card.resolve()
    assert "core.router.weight" in report


def test_an_imported_model_loads_with_the_real_backbone(tmp_path: Path, backbone: Any, smollm: Any) -> None:
    layer = smollm[0].get_submodule(ATTENTION)
    tensors = weights(randomised(mlp(2048, 64, 576)), "adapter.")
    tensors[f"base_model.model.{ATTENTION}.lora_A.default.weight"] = torch.full((2, 576), 0.01)
    tensors[f"base_model.model.{ATTENTION}.lora_B.default.weight"] = torch.full((576, 2), 0.1)
    report = take(tmp_path, saved(tmp_path, tensors), mapped(tmp_path, lora_alpha=6))
    model = load(read_card(report.card), LoadOptions(device="cpu"))
    assert model.info.name == "mine"
    merged = model.parts.llm.get_submodule(ATTENTION).weight
    torch.testing.assert_close(
        merged - layer.weight, torch.full_like(merged, 3 * 2 * 0.001), rtol=0, atol=1e-6
    )
    assert torch.equal(model.parts.projector.core.up.weight, tensors["adapter.0.weight"])

"""Checkpoints from elsewhere compute the same after import, and no doubt is resolved silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_checkpoints import (
    ATTENTION,
    EXPERTS,
    HIDDEN,
    LLM,
    D,
    E,
    M,
    TheirMoE,
    agree,
    imported,
    mapped,
    mlp,
    projector_of,
    randomised,
    saved,
    take,
    weights,
)
from safetensors.torch import load_file
from torch import nn

from model_adapters.audio_llm.checkpoint import read_weights, write_weights
from model_adapters.audio_llm.config import ProjectorConfig
from model_adapters.audio_llm.projector import Projector


@pytest.mark.parametrize("shared", [0, 1, 3])
@pytest.mark.parametrize("norms", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("out", [True, False])
def test_a_foreign_moe_computes_the_same_after_import(
    tmp_path: Path, shared: int, norms: bool, bias: bool, out: bool
) -> None:
    theirs = randomised(TheirMoE(shared, norms, bias, out))
    ours = imported(tmp_path, weights(theirs, "adapter."))
    agree(ours, theirs)
    assert ours.config.num_shared_experts == shared
    assert (ours.config.input_norm, ours.config.output_norm) == (norms, norms)


@pytest.mark.parametrize("layout", ["in_out", "out_in"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("router", ["gate.weight", "w_g"])
def test_experts_that_are_already_stacked_are_found_in_either_layout(
    tmp_path: Path, layout: str, bias: bool, router: str
) -> None:
    theirs = randomised(TheirMoE(shared=0, bias=bias))
    tensors = {k: v for k, v in weights(theirs).items() if not k.startswith(("experts", "gate"))}
    for place, name in ((0, "1"), (2, "2")):
        stacked = torch.stack([expert[place].weight.detach() for expert in theirs.experts])
        tensors[f"experts.w{name}"] = stacked.transpose(1, 2) if layout == "in_out" else stacked
        if bias:
            tensors[f"experts.b{name}"] = torch.stack(
                [expert[place].bias.detach() for expert in theirs.experts]
            )
    gate = theirs.gate.weight.detach()
    tensors[router] = gate if router == "gate.weight" else gate.T  # G(x) = x W_g
    agree(imported(tmp_path, tensors), theirs)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("norms", [True, False])
def test_a_foreign_dense_projector_computes_the_same(tmp_path: Path, bias: bool, norms: bool) -> None:
    core = mlp(D, HIDDEN, LLM, bias)
    theirs = randomised(nn.Sequential(nn.LayerNorm(D), core, nn.RMSNorm(LLM, eps=1e-6)) if norms else core)
    ours = imported(tmp_path, weights(theirs, "mm_projector."))
    agree(ours, theirs)
    assert ours.config.hidden_width == HIDDEN


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("prefix", ["", "model.proj."])
def test_a_foreign_linear_layer_computes_the_same(tmp_path: Path, bias: bool, prefix: str) -> None:
    theirs = randomised(nn.Linear(D, LLM, bias))
    ours = imported(tmp_path, weights(theirs, prefix))
    agree(ours, theirs)
    assert ours.config.kind == "linear"


def test_matrices_stored_the_other_way_round_are_turned_and_said(tmp_path: Path) -> None:
    theirs = randomised(mlp(D, HIDDEN, LLM))
    tensors = {k: v.T.contiguous() if v.ndim == 2 else v for k, v in weights(theirs, "fc.").items()}
    report = take(tmp_path, saved(tmp_path, tensors))
    agree(projector_of(report), theirs)
    assert any(
        "stored as [in, out], by their shapes: fc.0.weight, fc.2.weight" in note for note in report.notes
    )


@pytest.mark.parametrize("kind", ["linear", "dense", "moe"])
def test_this_projects_own_checkpoints_come_back_as_they_are(tmp_path: Path, kind: Any) -> None:
    sizes = {"hidden_width": HIDDEN, "num_experts": EXPERTS, "top_k": 4, "expert_width": E, "moe_width": M}
    config = ProjectorConfig(kind=kind, encoder_width=6, llm_width=LLM, **sizes)
    state = weights(randomised(Projector(config)))
    lora = {f"{ATTENTION}.lora_A.weight": torch.ones(2, 9), f"{ATTENTION}.lora_B.weight": torch.ones(9, 2)}
    write_weights(tmp_path / "own.safetensors", state, lora, dtype=None)
    report = take(tmp_path, tmp_path / "own.safetensors", mapped(tmp_path, lora_alpha=4))
    stored = read_weights(report.card.parent / "weights.safetensors")
    assert stored.projector.keys() == state.keys()
    assert all(torch.equal(stored.projector[key], value) for key, value in state.items())
    assert stored.lora.keys() == lora.keys()


def test_numbers_keep_their_precision(tmp_path: Path) -> None:
    tensors = weights(randomised(mlp(D, HIDDEN, LLM)))
    tensors["0.weight"] = tensors["0.weight"].half()
    tensors["2.bias"] = tensors["2.bias"].double()
    report = take(tmp_path, saved(tmp_path, tensors))
    stored = load_file(report.card.parent / "weights.safetensors")
    assert stored["projector.core.up.weight"].dtype == torch.float16
    assert stored["projector.core.down.bias"].dtype == torch.float32
    assert torch.equal(stored["projector.core.down.weight"], tensors["2.weight"])


def test_the_report_says_what_became_of_every_tensor_and_what_was_assumed(tmp_path: Path) -> None:
    report = take(tmp_path, saved(tmp_path, weights(randomised(TheirMoE(out=False, norms=False)), "a.")))
    text = str(report)
    assert "core.experts.up " in text
    assert "[5, 24, 7]  <-  a.experts.{expert}.0.weight (experts stacked, transposed)" in text
    assert "core.router.weight" in text
    assert "identity: it has no W_P" in text
    for assumed in (
        "stack 4 (the default; `stack` in a mapping file changes it)",
        "top_k 4 (the default; `top_k` in a mapping file changes it)",
        "SiLU",
        "softmax over the top-k logits alone",
        "no norm before the core: the checkpoint has none",
        "no norm after the core: the checkpoint has none",
    ):
        assert assumed in text
    assert str(report.card) == str(tmp_path / "models/mine/card.yaml")


def test_top_k_and_stack_come_from_the_mapping_file(tmp_path: Path) -> None:
    theirs = randomised(TheirMoE(top_k=2))
    ours = imported(tmp_path, weights(theirs), top_k=2, stack=3)
    agree(ours, theirs)
    assert (ours.config.top_k, ours.config.stack, ours.config.encoder_width) == (2, 3, 8)


def test_a_mapping_file_can_say_everything(tmp_path: Path) -> None:
    theirs = randomised(TheirMoE())
    ours = imported(
        tmp_path,
        weights(theirs, "x."),
        **{
            "kind": "moe",
            "norm_in.weight": "x.ln.weight",
            "norm_in.bias": "x.ln.bias",
            "core.router.weight": "x.gate.weight",
            "core.experts.up": "x.experts.{expert}.0.weight",
            "core.experts.up_bias": "x.experts.{expert}.0.bias",
            "core.experts.down": {"key": "x.experts.{expert}.2.weight", "layout": "out_in"},
            "core.experts.down_bias": "x.experts.{expert}.2.bias",
            "core.shared.up": "x.shared_expert.0.weight",
            "core.shared.up_bias": "x.shared_expert.0.bias",
            "core.shared.down": "x.shared_expert.2.weight",
            "core.shared.down_bias": "x.shared_expert.2.bias",
            "core.out.weight": "x.project.weight",
            "core.out.bias": "x.project.bias",
            "norm_out.weight": "x.rms.weight",
        },
    )
    agree(ours, theirs)


def test_a_doubt_is_an_error_that_names_the_candidates_and_one_line_resolves_it(tmp_path: Path) -> None:
    w1, w2 = torch.randn(2, EXPERTS, D, D)
    tensors = {"gate.weight": torch.randn(EXPERTS, D), "w1": w1, "w2": w2}
    with pytest.raises(ValueError) as error:
        take(tmp_path, saved(tmp_path, tensors))
    assert "can be read in more than one way" in str(error.value)
    for candidate in ("w1 [5, 24, 24] stored as out_in", "w2 [5, 24, 24] stored as in_out"):
        assert candidate in str(error.value)
    assert "mapping file" in str(error.value)
    assert not (tmp_path / "models/mine").exists()
    for layout, up in (("in_out", w2), ("out_in", w2.transpose(1, 2))):
        path = mapped(tmp_path, **{"core.experts.up": {"key": "w2", "layout": layout}})
        core = projector_of(take(tmp_path, saved(tmp_path, tensors), path, name=layout)).core
        assert torch.equal(core.experts.up, up)
        assert torch.equal(core.experts.down, w1 if layout == "in_out" else w1.transpose(1, 2))


def test_a_bias_follows_the_weight_that_the_mapping_file_names(tmp_path: Path) -> None:
    theirs = randomised(TheirMoE())
    names = {"core.experts.up": "experts.{expert}.0.weight", "core.out.weight": "project.weight"}
    agree(imported(tmp_path, weights(theirs), **names), theirs)


def test_experts_numbered_apart_from_each_other_are_found_by_the_mapping_file(tmp_path: Path) -> None:
    theirs = randomised(TheirMoE())
    moved = {"0": "up_list", "2": "down_list"}
    tensors = {}
    for key, value in weights(theirs).items():
        words = key.split(".")
        tensors[".".join([moved[words[2]], words[1], words[3]]) if words[0] == "experts" else key] = value
    with pytest.raises(ValueError, match="cannot be read"):
        imported(tmp_path, tensors)
    names = {"core.experts.up": "up_list.{expert}.weight", "core.experts.down": "down_list.{expert}.weight"}
    agree(imported(tmp_path, tensors, **names), theirs)


def test_norms_of_the_same_width_are_told_apart_by_their_bias(tmp_path: Path) -> None:
    theirs = randomised(nn.Sequential(nn.LayerNorm(D), mlp(D, HIDDEN, D), nn.RMSNorm(D, eps=1e-6)))
    agree(imported(tmp_path, weights(theirs)), theirs)


def test_an_input_norm_without_bias_must_be_named(tmp_path: Path) -> None:
    theirs = randomised(nn.Sequential(nn.LayerNorm(D, bias=False), nn.Linear(D, LLM)))
    with pytest.raises(ValueError, match=r"cannot be read.*0\.weight \[24\].*LayerNorm \(weight and bias\)"):
        imported(tmp_path, weights(theirs))
    agree(imported(tmp_path, weights(theirs), **{"norm_in.weight": "0.weight"}), theirs)


def test_what_is_not_below_the_prefix_is_left_out_and_counted(tmp_path: Path) -> None:
    theirs = randomised(TheirMoE())
    others = {f"llm.layers.{i}.weight": torch.randn(4, 4) for i in range(7)}
    source = saved(tmp_path, {**weights(theirs, "audio.adapter."), **others})
    with pytest.raises(ValueError, match=r"cannot be read.*llm\.layers\.0\.weight.*prefix"):
        take(tmp_path, source)
    report = take(tmp_path, source, mapped(tmp_path, prefix="audio.adapter."))
    agree(projector_of(report), theirs)
    assert "7 tensors that are not below 'audio.adapter.' were left out" in report.notes

"""What is no projector, or a mapping file with mistakes, is one error that says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from foreign_checkpoints import (
    EXPERTS,
    HIDDEN,
    LLM,
    D,
    E,
    TheirMoE,
    changed,
    imported,
    mlp,
    saved,
    take,
    weights,
)
from torch import Tensor


@pytest.mark.fault
@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            changed(experts__3__0__weight=torch.ones(6, D)),
            r"for expert 0 but \[6, 24\] for expert 3: experts must",
        ),
        (changed(experts__3__0__weight=None), r"cannot be read.*experts\.0\.0\.weight"),
        (
            changed(gate__bias=torch.ones(EXPERTS)),
            r"cannot be read.*gate\.weight \[5, 24\], bias \[5\].*router",
        ),
        (changed(gate__weight=None), r"cannot be read"),
        (changed(gate__weight=torch.ones(EXPERTS + 1, D)), r"cannot be read.*gate\.weight \[6, 24\]"),
        (
            changed(project__bias=torch.ones(LLM + 1)),
            r"cannot be read.*project\.weight \[20, 11\], bias \[21\]",
        ),
        (changed(rms__bias=torch.ones(LLM)), r"cannot be read.*rms\.weight \[20\], bias \[20\]"),
        (changed(project__weight=None), r"cannot be read.*project\.bias \[20\]"),
        (changed(step=torch.tensor(3.0)), r"cannot be read.*step \[\]"),
        (changed(step=torch.tensor(3)), r"step is int64, but weights are floating-point numbers"),
        ({"conv.weight": torch.ones(LLM, D, 3)}, r"cannot be read.*conv\.weight \[20, 24, 3\]"),
        ({f"layer{i}.weight": torch.ones(D, D) for i in range(40)}, r"cannot be read.* and 24 more"),
        ({"weight": torch.ones(0, D)}, r"cannot be read.*weight \[0, 24\]"),
        (
            {"weight": torch.ones(LLM, 26)},
            r"takes 26 numbers a token, which are not 4 stacked frames.*`stack: NUMBER`",
        ),
    ],
)
def test_what_is_no_projector_is_one_error_that_lists_what_is_there(
    tmp_path: Path, tensors: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        take(tmp_path, saved(tmp_path, tensors))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 2000


def test_experts_with_a_gate_of_their_own_are_refused(tmp_path: Path) -> None:
    tensors = weights(TheirMoE(shared=0))
    tensors |= {f"experts.{i}.gate_proj.weight": torch.ones(E, D) for i in range(EXPERTS)}
    with pytest.raises(
        ValueError, match=r"experts\.\{expert\}\.gate_proj\.weight \[5, 7, 24\].*two matrices per"
    ):
        take(tmp_path, saved(tmp_path, tensors))


def test_fewer_experts_than_the_default_top_k_must_be_told_apart(tmp_path: Path) -> None:
    few = {
        k: v
        for k, v in weights(TheirMoE()).items()
        if not k.startswith(("experts.2", "experts.3", "experts.4"))
    }
    few["gate.weight"] = torch.randn(2, D)
    with pytest.raises(ValueError, match=r"top_k is 4 by default, but there are 2 experts.*`top_k: NUMBER`"):
        imported(tmp_path, few)
    assert imported(tmp_path, few, top_k=1).config.top_k == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("core.up.wieght: a\n", r"unknown key 'core\.up\.wieght'; did you mean 'core\.up\.weight'\?"),
        ("topk: 3\n", r"unknown key 'topk'; did you mean 'top_k'\?"),
        ("kind: sparse\ntop_k: 0\nlora_alpha: .nan\n", r"kind: .*top_k: .*lora_alpha: "),
        ("core.up.weight: [1]\n", r"mapping\.yaml: core\.up\.weight: "),
        ("core.up.weight: {key: a, layout: wrong}\n", r"core\.up\.weight\.layout: "),
        (
            "core.up.weight: fc9.weight\n",
            r"names 'fc9\.weight', which the checkpoint does not have; nearest: ",
        ),
        ("core.experts.up: e.{expert}.w\n", r"names 'e\.\{expert\}\.w'; the checkpoint has it for no expert"),
        ("core.up.bias: 0.bias\n", r"a bias for core\.up but not its weight"),
        ("core.up.weight: 2.weight\n", "cannot be read"),
        ("kind: moe\n", "cannot be read as a moe projector"),
        ("- a\n", "is no mapping file"),
        ("1: a\n", "is no mapping file"),
        ("[\n", "cannot read the mapping file"),
        ("top_k: !!python/object/apply:os.system [ls]\n", "cannot read the mapping file"),
        ("prefix: nothing.\n", r"holds no tensors below 'nothing\.'"),
    ],
)
def test_mistakes_in_a_mapping_file_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        take(tmp_path, saved(tmp_path, weights(mlp(D, HIDDEN, LLM))), path)

"""Checkpoints from elsewhere: foreign modules compute the same after import, and no doubt is resolved silently."""

from __future__ import annotations

import json
import math
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from evalkit.cards import import_model, read_card, resolve_model
from evalkit.model import LoadOptions
from model_adapters.audio_llm import import_checkpoint
from model_adapters.audio_llm.checkpoint import load_projector, read_weights, write_weights
from model_adapters.audio_llm.config import ProjectorConfig
from model_adapters.audio_llm.importing import ImportReport
from model_adapters.audio_llm.loading import load, read_config
from model_adapters.audio_llm.projector import Projector

D, HIDDEN, LLM = 24, 16, 20
EXPERTS, E, M = 5, 7, 11
ATTENTION = "model.layers.0.self_attn.q_proj"


def silu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def mlp(width_in: int, hidden: int, out: int, bias: bool = True) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width_in, hidden, bias), nn.SiLU(), nn.Linear(hidden, out, bias))


class TheirMoE(nn.Module):
    """Somebody else's MoE adapter, written as people write them."""

    def __init__(
        self, shared: int = 1, norms: bool = True, bias: bool = True, out: bool = True, top_k: int = 4
    ) -> None:
        super().__init__()
        self.top_k = top_k
        self.ln = nn.LayerNorm(D) if norms else nn.Identity()
        self.gate = nn.Linear(D, EXPERTS, bias=False)
        width = M if out else LLM
        self.experts = nn.ModuleList(mlp(D, E, width, bias) for _ in range(EXPERTS))
        if shared == 1:
            self.shared_expert = mlp(D, E, width, bias)
        elif shared:
            self.shared_experts = nn.ModuleList(mlp(D, E, width, bias) for _ in range(shared))
        self.project = nn.Linear(M, LLM, bias) if out else nn.Identity()
        self.rms = nn.RMSNorm(LLM, eps=1e-6) if norms else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.ln(x)
        values, chosen = self.gate(x).topk(self.top_k)
        gates = torch.zeros(len(x), EXPERTS).scatter(1, chosen, values.softmax(-1))
        mixed = sum(gates[:, i, None] * expert(x) for i, expert in enumerate(self.experts))
        for shared in [getattr(self, "shared_expert", None), *getattr(self, "shared_experts", [])]:
            mixed = mixed + shared(x) if shared is not None else mixed
        return self.rms(self.project(mixed))


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """No parameter at a value that could come about by itself."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module.eval()


def weights(module: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    return {prefix + name: value.detach().clone() for name, value in module.state_dict().items()}


def saved(folder: Path, tensors: dict[str, Tensor], name: str = "theirs.safetensors") -> Path:
    path = folder / name
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)
    return path


def mapped(folder: Path, **content: Any) -> Path:
    path = folder / "mapping.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def take(folder: Path, source: Path, mapping: Path | None = None, name: str = "mine") -> ImportReport:
    report = import_checkpoint(source, name, folder / "models", mapping)
    assert isinstance(report, ImportReport)
    return report


def projector_of(report: ImportReport) -> Projector:
    config = read_config(read_card(report.card))
    stored = read_weights(report.card.parent / config.weights)
    return load_projector(config.projector, stored.projector, config.weights)


def imported(folder: Path, tensors: dict[str, Tensor], **mapping: Any) -> Projector:
    return projector_of(take(folder, saved(folder, tensors), mapped(folder, **mapping) if mapping else None))


def tokens() -> Tensor:
    return torch.randn(9, D, generator=torch.Generator().manual_seed(5))


def agree(ours: Projector, theirs: Any) -> None:
    with torch.inference_mode():
        torch.testing.assert_close(ours(tokens()).embeddings, theirs(tokens()), rtol=1e-4, atol=1e-5)


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


def test_shards_are_read_through_their_index(tmp_path: Path) -> None:
    theirs = randomised(TheirMoE())
    tensors = weights(theirs)
    names = {key: f"part-{i % 3}.safetensors" for i, key in enumerate(tensors)}
    for part in set(names.values()):
        saved(tmp_path, {key: tensors[key] for key in tensors if names[key] == part}, part)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    agree(projector_of(take(tmp_path, index)), theirs)


@pytest.mark.security
@pytest.mark.parametrize(
    "shard", ["../theirs.safetensors", "/etc/passwd", "sub/x.safetensors", "x.bin", 3, ".."]
)
def test_an_index_cannot_point_outside_its_folder(tmp_path: Path, shard: Any) -> None:
    saved(tmp_path, weights(nn.Linear(D, LLM)))
    folder = tmp_path / "inner"
    folder.mkdir()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"weight": shard}}))
    with pytest.raises(ValueError, match=r"expected a \.safetensors file beside it"):
        take(tmp_path, index)


@pytest.mark.fault
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not a JSON index"),
        ("[]", "has no weight_map"),
        ('{"weight_map": {}}', "has no weight_map"),
        ('{"weight_map": {"a": "gone.safetensors"}}', r"shard gone\.safetensors is not there"),
        ('{"weight_map": {"a": "theirs.safetensors"}}', r"theirs\.safetensors lacks a"),
        ("[" * 100_000, "is not a JSON index"),
    ],
    ids=["torn", "list", "empty", "gone", "lacks", "deep"],
)
def test_a_broken_index_is_named(tmp_path: Path, content: str, message: str) -> None:
    saved(tmp_path, weights(nn.Linear(D, LLM)))
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(content)
    with pytest.raises(ValueError, match=message):
        take(tmp_path, index)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"epoch": 3, "model": {"state_dict": s}}, nn.ParameterDict]
)
def test_torch_files_with_tensors_alone_are_read(tmp_path: Path, suffix: str, wrap: Any) -> None:
    theirs = randomised(mlp(D, HIDDEN, LLM))
    if wrap is nn.ParameterDict:
        wrap = dict
    path = tmp_path / f"theirs{suffix}"
    torch.save(wrap(theirs.state_dict()), path)
    agree(projector_of(take(tmp_path, path)), theirs)


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


@pytest.mark.security
@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_code_is_refused_and_never_run(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "theirs.pt"
    state = {"weight": torch.ones(LLM, D), "extra": Bomb(tmp_path / "ran")}
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match=r"theirs\.pt holds posix\.mkdir, which is not a tensor") as error:
        take(tmp_path, path)
    assert "weights_only=False" not in str(error.value)
    path.write_bytes(pickle.dumps(state))
    with pytest.raises(ValueError, match=r"theirs\.pt"):
        take(tmp_path, path)
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(ValueError, match=r"theirs\.pt holds torch\.nn\.modules\.linear\.Linear"):
        take(tmp_path, path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.security
def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "theirs.pt"
    torch.save({"weight": torch.ones(1, 1).expand(10**7, 10**7)}, path)
    with pytest.raises(ValueError, match=r"weight claims the shape \[10000000, 10000000\]"):
        take(tmp_path, path)


@pytest.mark.security
def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain.pt", tmp_path / "packed.pt"
    torch.save({"weight": torch.zeros(2000, 2000)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    with pytest.raises(ValueError, match=r"packed\.pt is compressed"):
        take(tmp_path, packed)


def looped() -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop["model"] = loop
    return loop


@pytest.mark.fault
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(2)], "holds list, not a state_dict"),
        (torch.ones(2), "holds Tensor, not a state_dict"),
        ({"a": 1.0}, "'a' is float, not a tensor"),
        ({1: torch.ones(2)}, "'1' is Tensor"),
        ({"a": torch.ones(2, 2).to_sparse()}, "a is sparse"),
        ({}, "holds no tensors"),
        (looped(), "'model' is dict, not a tensor"),
    ],
    ids=["list", "tensor", "float", "number", "sparse", "empty", "loop"],
)
def test_torch_files_with_something_else_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "theirs.pt"
    torch.save(content, path)
    with pytest.raises(ValueError, match=message):
        take(tmp_path, path)


@pytest.mark.fault
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_refused_and_leaves_nothing(
    tmp_path: Path, suffix: str, kept: float
) -> None:
    path = tmp_path / f"theirs{suffix}"
    state = weights(TheirMoE())
    saved(tmp_path, state) if suffix == ".safetensors" else torch.save(state, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(ValueError, match=rf"theirs\{suffix} is not a whole"):
        take(tmp_path, path)
    assert not (tmp_path / "models").exists()


@pytest.mark.fault
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    tensors = weights(randomised(TheirMoE()))
    tensors["experts.3.2.bias"][1] = value
    with pytest.raises(ValueError, match=r"experts\.3\.2\.bias holds NaN or infinite"):
        take(tmp_path, saved(tmp_path, tensors))


def changed(**changes: Tensor | None) -> dict[str, Tensor]:
    tensors: dict[str, Any] = weights(TheirMoE())
    tensors |= {key.replace("__", "."): value for key, value in changes.items()}
    return {key: value for key, value in tensors.items() if value is not None}


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


@pytest.mark.security
@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".hidden", "-x", "a b", "ü", "x\n", "/abs", "a\\b"])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a model"):
        take(tmp_path, saved(tmp_path, weights(nn.Linear(D, LLM))), name=name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs.safetensors"]


def test_a_name_that_is_taken_is_refused_and_nothing_is_overwritten(tmp_path: Path) -> None:
    source = saved(tmp_path, weights(nn.Linear(D, LLM)))
    report = take(tmp_path, source)
    before = report.card.read_bytes()
    with pytest.raises(ValueError, match="exists already: choose another name"):
        take(tmp_path, source)
    assert report.card.read_bytes() == before


@pytest.mark.parametrize("name", ["theirs.gguf", "theirs.ckpt", "theirs.pkl", "theirs.npz", "theirs"])
def test_other_kinds_of_file_are_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps({}))
    with pytest.raises(
        ValueError, match=r"is not a checkpoint that can be imported: expected a file \.safetensors"
    ):
        take(tmp_path, tmp_path / name)


def test_a_folder_and_a_file_that_is_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        take(tmp_path, tmp_path / "no.safetensors")
    for name in ("folder", "folder.pt", "folder.safetensors"):
        (tmp_path / name).mkdir()
        with pytest.raises(ValueError, match=name):
            take(tmp_path, tmp_path / name)


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

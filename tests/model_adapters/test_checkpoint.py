"""Weights go to disk and come back; whatever else is in a file is named and refused, and nothing is run."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from evalkit.cards import fetch_model, load_model, model_info, resolve_model
from evalkit.model import Card, LoadOptions
from model_adapters.audio_llm.checkpoint import load_projector, read_weights, write_weights
from model_adapters.audio_llm.config import ProjectorConfig
from model_adapters.audio_llm.loading import load
from model_adapters.audio_llm.projector import Projector

MOE = ProjectorConfig(
    kind="moe",
    encoder_width=6,
    stack=4,
    llm_width=20,
    num_experts=5,
    top_k=2,
    expert_width=7,
    moe_width=11,
)
LORA = {
    "model.layers.0.mlp.up_proj.lora_A.weight": torch.ones(2, 20),
    "model.layers.0.mlp.up_proj.lora_B.weight": torch.ones(30, 2),
}


def state(config: ProjectorConfig = MOE) -> dict[str, Tensor]:
    """A projector's weights, exact in bfloat16."""
    torch.manual_seed(0)
    return {k: v.to(torch.bfloat16).float() for k, v in Projector(config).state_dict().items()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "arm.safetensors"
    write_weights(path, state(), LORA)
    return path


@pytest.mark.parametrize("kind", ["linear", "dense", "moe"])
def test_what_is_written_comes_back(tmp_path: Path, kind: Any) -> None:
    config = MOE.model_copy(update={"kind": kind})
    path = tmp_path / "arm.safetensors"
    write_weights(path, state(config), LORA)
    weights = read_weights(path)
    projector = load_projector(config, weights.projector, path.name)
    assert not projector.training
    for name, value in state(config).items():
        found = projector.state_dict()[name]
        assert found.dtype == torch.float32
        assert torch.equal(found, value)
    assert weights.lora.keys() == LORA.keys()


def test_weights_are_stored_as_bfloat16_and_nothing_temporary_stays(file: Path) -> None:
    assert {value.dtype for value in load_file(file).values()} == {torch.bfloat16}
    assert list(file.parent.iterdir()) == [file]


def test_weights_can_be_stored_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "exact.safetensors"
    third = torch.full((3,), 1 / 3)
    write_weights(path, {"a": third, "b": third.half()}, {}, dtype=None)
    stored = read_weights(path).projector
    assert torch.equal(stored["a"], third)
    assert stored["b"].dtype == torch.float16


def test_the_hash_is_that_of_the_file_and_sees_one_bit(file: Path) -> None:
    before = read_weights(file).sha256
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert read_weights(file).sha256 != before


@pytest.mark.fault
@pytest.mark.parametrize("kept", [0, 7, 8, 100, 0.5, -1])
def test_a_file_that_is_cut_short_is_refused(file: Path, kept: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    with pytest.raises(ValueError, match=r"arm\.safetensors is not a whole safetensors file"):
        read_weights(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read the checkpoint no\.safetensors: No such file"):
        read_weights(tmp_path / "no.safetensors")
    with pytest.raises(ValueError, match="it is not a file"):
        read_weights(tmp_path)


@pytest.mark.fault
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("part", ["projector", "lora"])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, value: float, part: str) -> None:
    bad = torch.tensor([0.0, value, 1.0])
    path = tmp_path / "arm.safetensors"
    write_weights(path, {"norm_out.weight": bad}, {}) if part == "projector" else write_weights(
        path, {}, {"x": bad}
    )
    with pytest.raises(ValueError, match=rf"{part}\.\S+ holds NaN or infinite weights"):
        read_weights(path)


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.complex64])
def test_quantised_weights_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "arm.safetensors"
    save_file({"projector.core.weight": torch.ones(3, dtype=dtype)}, path)
    with pytest.raises(ValueError, match=r"core\.weight is \w+, but weights are floating-point"):
        read_weights(path)


def test_numbers_that_torch_does_not_know_are_refused(tmp_path: Path) -> None:
    header = json.dumps({"projector.a": {"dtype": "F4", "shape": [8], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "arm.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(ValueError, match="numbers of the type 'F4'"):
        read_weights(path)


def test_a_checkpoint_from_elsewhere_is_sent_to_the_importer(tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    save_file({"adapter.fc.weight": torch.ones(2, 2)}, path)
    with pytest.raises(ValueError, match=r"adapter\.fc\.weight.*evalkit models import"):
        read_weights(path)


def test_every_kind_of_mismatch_is_named() -> None:
    tensors = state()
    tensors["core.extra"] = tensors.pop("core.out.bias")
    tensors["core.router.weight"] = torch.ones(4, 24)
    with pytest.raises(ValueError) as error:
        load_projector(MOE, tensors, "arm.safetensors")
    assert "arm.safetensors does not fit the projector of its card" in str(error.value)
    assert "core.out.bias is missing" in str(error.value)
    assert "core.extra is not known" in str(error.value)
    assert "core.router.weight has shape [4, 24], expected [5, 24]" in str(error.value)


@pytest.mark.security
def test_a_card_that_claims_absurd_sizes_takes_no_memory() -> None:
    huge = MOE.model_copy(update={"expert_width": 10**12})
    with pytest.raises(ValueError, match="does not fit the projector of its card"):
        load_projector(huge, state(), "arm.safetensors")


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.security
@pytest.mark.parametrize("save", [lambda v, p: torch.save(v, p), lambda v, p: p.write_bytes(pickle.dumps(v))])
def test_a_pickle_is_refused_and_never_run(tmp_path: Path, save: Any) -> None:
    path, trace = tmp_path / "arm.safetensors", tmp_path / "ran"
    save({"projector.core.weight": Bomb(trace)}, path)
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        read_weights(path)
    assert not trace.exists()


def card(tmp_path: Path, **config: Any) -> Card:
    return Card("arm", "audio_llm", {"weights": "arm.safetensors", **config}, tmp_path / "arm.yaml")


def test_lora_in_the_weights_that_the_card_does_not_know_is_refused(file: Path) -> None:
    with pytest.raises(
        ValueError, match=r"arm: there is LoRA in the weights but none in the card \(arm\.yaml\)"
    ):
        load(card(file.parent, projector=MOE.model_dump()), LoadOptions())


def test_lora_in_the_card_that_the_weights_lack_is_refused(tmp_path: Path) -> None:
    write_weights(tmp_path / "arm.safetensors", state(), {})
    config = {"projector": MOE.model_dump(), "lora": {"rank": 2, "alpha": 4.0}}
    with pytest.raises(ValueError, match="there is LoRA in the card but none in the weights"):
        load(card(tmp_path, **config), LoadOptions())


def test_a_projector_of_other_widths_than_the_backbone_is_refused(tmp_path: Path, backbone: Any) -> None:
    write_weights(tmp_path / "arm.safetensors", state(), {})
    with pytest.raises(
        ValueError, match="encoder of width 6 to an LLM of width 20, but this backbone has 512 and 576"
    ):
        load(card(tmp_path, projector=MOE.model_dump()), LoadOptions())


def test_mistakes_in_a_cards_config_are_all_named(tmp_path: Path) -> None:
    config = {"projector": {"kind": "sparse", "width": 3}, "lora": {"rank": 0}}
    with pytest.raises(ValueError) as error:
        load(card(tmp_path, **config), LoadOptions())
    for place in ("config.projector.kind", "config.projector.width", "config.lora.rank"):
        assert place in str(error.value)


@pytest.mark.parametrize("ask", [load_model, fetch_model, model_info])
def test_an_arm_that_has_no_weights_says_how_to_make_them(ask: Any) -> None:
    wanted = "`evalkit train recipes/mini/dense_linear.yaml` makes them"
    with pytest.raises(ValueError, match=f"dense_linear: its weights are not included; {wanted}"):
        ask(resolve_model("dense_linear"), LoadOptions(device="cpu"))

"""Checkpoint files of every kind are read as tensors alone; nothing in them is ever run."""

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
from foreign_checkpoints import (
    HIDDEN,
    LLM,
    D,
    TheirMoE,
    agree,
    mlp,
    projector_of,
    randomised,
    saved,
    take,
    weights,
)
from torch import nn


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

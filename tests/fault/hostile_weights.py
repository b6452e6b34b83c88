"""Checkpoints that are pickles with a will of their own, cut, lying about their sizes, or not numbers at all."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import subprocess
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from trials import Trial

HEADER = b'{"w":{"dtype":"F32","shape":[%s],"data_offsets":[%s]}}'


class Runs:
    """Unpickling one touches a file in the working folder."""

    def __reduce__(self) -> Any:
        return subprocess.getoutput, ("touch canary",)


def write_checkpoints(folder: Path, tasks: Path) -> list[Trial]:
    """`models import` of every file, and runs of cards that name hostile weights."""
    folder.mkdir(parents=True)
    trials = []
    files = (*_pickles(), *_other_tensors(), *_safetensors(), *_indices(folder), *_else())
    for number, (name, content, says) in enumerate(files):
        place = folder / f"{number:02d}"
        place.mkdir()
        path = place / name
        path.write_bytes(content)
        arguments = ("models", "import", str(path), "--as", f"arm{number}")
        trials.append(Trial(f"checkpoint {number} {name}", arguments, "refused", says))
    for number, (path, says) in enumerate(_places(folder)):
        arguments = ("models", "import", str(path), "--as", f"place{number}")
        trials.append(Trial(f"checkpoint at {path}", arguments, "refused", says))
    return trials + list(_cards(folder, tasks))


def dumped(value: object, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def _pickles() -> Iterator[tuple[str, bytes, str]]:
    tensor = torch.ones(4, 4)
    yield "code.pt", dumped({"w": Runs()}), "could run code"
    yield "code.bin", dumped({"w": tensor, "extra": Runs()}), "could run code"
    yield "code-legacy.pth", dumped({"w": Runs()}, _use_new_zipfile_serialization=False), ""
    yield "plain-pickle.pt", pickle.dumps({"w": Runs()}), ""
    yield "protocol0.pt", b"cos\nsystem\n(S'touch canary'\ntR.", ""
    yield "code-in-name.safetensors", pickle.dumps(Runs()), "safetensors"
    yield "module.pt", dumped(torch.nn.Linear(4, 4)), ""
    yield "optimizer.pt", dumped(torch.optim.Adam([torch.nn.Parameter(tensor)]).state_dict()), ""
    yield "list.pt", dumped([tensor]), "state_dict"
    yield "tensor.pt", dumped(tensor), "state_dict"
    yield "numbers.pt", dumped({"w": 5}), "state_dict"
    yield "deep.pt", dumped({"model": {"model": {"model": {"model": {"model": {"w": tensor}}}}}}), ""
    yield "integer-keys.pt", dumped({1: tensor}), "state_dict"
    yield "empty.pt", dumped({}), ""
    yield "nan.pt", dumped({"0.weight": torch.full((4, 4), torch.nan)}), ""
    whole = dumped(OrderedDict(w=tensor))
    for size in (1, 50, len(whole) // 2, len(whole) - 30):
        yield f"cut-{size}.pt", whole[:size], "PyTorch"
    rng = random.Random(3)
    for number in range(4):
        bent = bytearray(whole)
        for _ in range(20):
            bent[rng.randrange(len(bent))] = rng.randrange(256)
        yield f"bent-{number}.pt", bytes(bent), ""


def _other_tensors() -> Iterator[tuple[str, bytes, str]]:
    yield "sparse.pt", dumped({"w": torch.eye(4).to_sparse()}), "sparse"
    yield "meta.pt", dumped({"w": torch.ones(4, 4, device="meta")}), ""
    yield "expanded.pt", dumped({"w": torch.ones(1).expand(1 << 30, 64)}), "claims the shape"
    yield "complex.pt", dumped({"w": torch.ones(4, 4, dtype=torch.complex64)}), ""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(dumped({"w": torch.zeros(1 << 20)}))) as plain,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in plain.namelist():
            archive.writestr(name, plain.read(name))
        archive.writestr("archive/data/1", bytes(100 << 20))
    yield "bomb.pt", packed.getvalue(), "compressed"


def _safetensors() -> Iterator[tuple[str, bytes, str]]:
    whole = save({"0.weight": torch.ones(8, 16), "0.bias": torch.ones(8)})
    for size in (0, 4, 8, 60, len(whole) // 2, len(whole) - 1):
        yield f"cut-{size}.safetensors", whole[:size], "safetensors"
    for length in (0, 1 << 40, (1 << 63) - 1, (1 << 64) - 1):
        yield f"header-{length}.safetensors", struct.pack("<Q", length) + whole[8:], "safetensors"
    headers = {
        "beyond": HEADER % (b"1000000000", b"0,4000000000"),
        "backwards": HEADER % (b"4", b"16,0"),
        "overflow": HEADER % (b"4294967296,4294967296", b"0,16"),
        "negative": HEADER % (b"-4", b"0,16"),
        "too-short": HEADER % (b"1000", b"0,16"),
        "no-type": HEADER.replace(b"F32", b"X99") % (b"4", b"0,16"),
        "no-json": b"{" * 40,
        "deep": b'{"a":' * 20_000,
        "a-list": b"[]",
        "not-utf8": b'{"\xff":1}',
    }
    for name, header in headers.items():
        yield f"{name}.safetensors", struct.pack("<Q", len(header)) + header + bytes(16), "safetensors"
    tensors = {
        "nan": torch.full((4, 4), torch.nan),
        "inf": torch.full((4, 4), torch.inf),
        "int8": torch.ones(4, 4, dtype=torch.int8),
        "bool": torch.ones(4, 4, dtype=torch.bool),
        "empty": torch.ones(0, 4),
        "scalar": torch.tensor(1.0),
        "cube": torch.ones(2, 2, 2),
    }
    for name, tensor in tensors.items():
        yield f"{name}.safetensors", save({"0.weight": tensor}), ""
    yield "nothing.safetensors", save({}), ""
    yield "names.safetensors", save({"../../escape": torch.ones(4, 4), "\x1b[31m": torch.ones(4)}), ""
    yield "many.safetensors", save({f"layer{n}.weight": torch.ones(4, 4) for n in range(3000)}), ""


def _indices(folder: Path) -> Iterator[tuple[str, bytes, str]]:
    for name, shard in {
        "absolute": "/etc/passwd",
        "above": "../00/code.pt",
        "pickle": "code.pt",
        "gone": "gone.safetensors",
        "number": 5,
    }.items():
        yield f"{name}.safetensors.index.json", json.dumps({"weight_map": {"w": shard}}).encode(), "shard"
    yield "empty.safetensors.index.json", b"{}", "weight_map"
    yield "deep.safetensors.index.json", b"[" * 100_000, "JSON"
    yield "list.safetensors.index.json", b"[1]", "weight_map"


def _else() -> Iterator[tuple[str, bytes, str]]:
    for name in ("weights.npz", "weights.ckpt", "weights.h5", "weights", "weights.gguf", "page.html"):
        yield name, b"<html>404</html>", "not a checkpoint that can be imported"


def _places(folder: Path) -> Iterator[tuple[Path, str]]:
    (folder / "folder.safetensors").mkdir()
    yield folder / "folder.safetensors", ""
    yield folder / "gone.safetensors", "no such file"
    for name, target in (
        ("zero.safetensors", "/dev/zero"),
        ("passwd.pt", "/etc/passwd"),
        ("loop.pt", "loop.pt"),
    ):
        (folder / name).symlink_to(target)
        yield folder / name, ""
    (folder / "sparse.safetensors").touch()
    with (folder / "sparse.safetensors").open("wb") as file:
        file.truncate(1 << 40)
    yield folder / "sparse.safetensors", "safetensors"


def _cards(folder: Path, tasks: Path) -> Iterator[Trial]:
    good = save({"projector.x": torch.ones(4, 4)})
    (folder / "nan-arm.safetensors").write_bytes(save({"projector.w": torch.full((4,), torch.nan)}))
    (folder / "foreign.safetensors").write_bytes(save({"llm.w": torch.ones(4)}))
    (folder / "int.safetensors").write_bytes(save({"projector.w": torch.ones(4, dtype=torch.int8)}))
    (folder / "cut.safetensors").write_bytes(good[:-3])
    (folder / "code.safetensors").write_bytes(dumped({"w": Runs()}))
    projector = "kind: dense, encoder_width: 8, llm_width: 8"
    for number, (config, says) in enumerate(
        [
            (f"{{projector: {{{projector}}}, weights: {weights}}}", says)
            for weights, says in (
                ("nan-arm.safetensors", "NaN"),
                ("foreign.safetensors", "models import"),
                ("int.safetensors", "int8"),
                ("cut.safetensors", "safetensors"),
                ("code.safetensors", "safetensors"),
                ("gone.safetensors", "gone.safetensors"),
                ("/etc/passwd", "safetensors"),
                ("../../../../../../etc/passwd", "passwd"),
                ("zero.safetensors", ""),
                ("sparse.safetensors", ""),
                ("folder.safetensors", "cannot read"),
            )
        ]
        + [
            ("{projector: {kind: dense, encoder_width: -1}, weights: a}", "encoder_width"),
            ("{projector: {kind: code}, weights: a}", "kind"),
            ("{projector: {kind: moe, num_experts: 100000000, top_k: 0}, weights: a}", "top_k"),
            ("{weights: a}", "projector"),
            ("[]", "config"),
        ]
    ):
        card = folder / f"card{number}.yaml"
        card.write_text(f"name: card{number}\nloader: audio_llm\nconfig: {config}\n")
        arguments = ("run", "--model", str(card), "--tasks", str(tasks))
        yield Trial(f"card {number} {config[-60:]}", arguments, "refused", says)

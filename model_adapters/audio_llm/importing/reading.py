"""A checkpoint file to plain tensors by name. Nothing but tensors is ever built from it, and nothing is run."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

PICKLED = (".pt", ".pth", ".bin")
INDEX = ".safetensors.index.json"
_WRAPPERS = ("state_dict", "model_state_dict", "model", "module")
_DEEPEST = 4

Wanted = Callable[[str], bool]


def read_tensors(source: Path, wanted: Wanted) -> tuple[dict[str, Tensor], int]:
    """(the tensors whose names are wanted, how many were left out).

    Takes `.safetensors`, the index of a sharded one (`*.safetensors.index.json`), and `.pt`, `.pth` and
    `.bin` files with nothing but tensors in them (`torch.load(weights_only=True)`). Raises ValueError for
    anything else, FileNotFoundError when there is no such file.
    """
    if not source.exists():
        raise FileNotFoundError(f"no such checkpoint: {source}")
    files: list[tuple[Path, set[str] | None]] = []
    found: dict[str, Tensor] = {}
    if source.name.endswith(INDEX):
        files = _sharded(source)
    elif source.suffix == ".safetensors":
        files = [(source, None)]
    elif source.suffix in PICKLED and source.is_file():
        found = _unpickled(source)
    else:
        kinds = ", ".join((".safetensors", f"*{INDEX}", *PICKLED))
        raise ValueError(f"{source.name} is not a checkpoint that can be imported: expected a file {kinds}")
    kept = {key: value for key, value in found.items() if wanted(key)}
    left_out = len(found) - len(kept)
    for path, keys in files:
        for key, value in _stored(path, keys, wanted):
            if value is None:
                left_out += 1
            else:
                kept[key] = value
    return kept, left_out


def _stored(path: Path, keys: set[str] | None, wanted: Wanted) -> Iterator[tuple[str, Tensor | None]]:
    """Every key of a safetensors file (of `keys`, which it must have) with its tensor, None if not wanted."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            there = set(file.keys())
            missing = sorted((keys or set()) - there)
            if missing:
                raise ValueError(f"{path.name} lacks {missing[0]}, which the index says it has")
            for key in sorted(there if keys is None else keys):
                yield key, (file.get_tensor(key) if wanted(key) else None)
    except SafetensorError as error:
        raise ValueError(f"{path.name} is not a whole safetensors file: {error}") from error
    except KeyError as error:  # types of numbers that torch does not have
        raise ValueError(f"{path.name} holds numbers of the type {error}, which cannot be read") from error
    except OSError as error:
        raise ValueError(f"cannot read {path.name}: {error.strerror or error}") from error


def _sharded(source: Path) -> list[tuple[Path, set[str] | None]]:
    """The shards that the index names, each with its keys. They must lie beside the index."""
    try:
        index = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{source.name} is not a JSON index of shards: {error}") from error
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places:
        raise ValueError(f"{source.name} has no weight_map: it is not the index of a sharded checkpoint")
    shards: dict[Path, set[str] | None] = {}
    for key, name in places.items():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(
                f"{source.name} names the shard {name!r}: expected a .safetensors file beside it"
            )
        shards[source.parent / name] = (shards.get(source.parent / name) or set()) | {key}
    missing = sorted(path.name for path in shards if not path.is_file())
    if missing:
        raise ValueError(f"{source.name}: the shard {missing[0]} is not there ({len(missing)} missing)")
    return sorted(shards.items())


def _unpickled(source: Path) -> dict[str, Tensor]:
    _check_not_inflated(source)
    try:
        loaded = torch.load(source, weights_only=True, map_location="cpu")
    except Exception as error:  # a broken or hostile file can fail anywhere in the reader
        raise ValueError(f"{source.name} {_refusal(error)}") from error
    return _plain(_unwrapped(loaded), source.name)


def _check_not_inflated(source: Path) -> None:
    """torch stores tensors uncompressed: an archive that grows when it is read was made to fill the memory."""
    if not zipfile.is_zipfile(source):
        return
    try:
        with zipfile.ZipFile(source) as archive:
            inside = sum(member.file_size for member in archive.infolist())
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{source.name} is not a whole PyTorch checkpoint: {error}") from error
    if inside > source.stat().st_size:
        raise ValueError(f"{source.name} is compressed ({inside} bytes inside): PyTorch checkpoints are not")


def _refusal(error: Exception) -> str:
    found = re.search(r"unsupported (?:global: )?GLOBAL (\S{1,80})", str(error), re.IGNORECASE)
    if found:
        return (
            f"holds {found[1]}, which is not a tensor: such a file could run code when it is read, so it is "
            "refused; save the state_dict alone, as safetensors"
        )
    return "is not a whole PyTorch checkpoint of tensors; save the state_dict alone, as safetensors"


def _unwrapped(loaded: Any) -> Any:
    for _ in range(_DEEPEST):
        if not isinstance(loaded, Mapping):
            return loaded
        inner = next((loaded[name] for name in _WRAPPERS if isinstance(loaded.get(name), Mapping)), None)
        if inner is None:
            return loaded
        loaded = inner
    return loaded


def _plain(loaded: Any, name: str) -> dict[str, Tensor]:
    if not isinstance(loaded, Mapping):
        raise ValueError(f"{name} holds {type(loaded).__name__}, not a state_dict of tensors by name")
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ValueError(
                f"{name}: {str(key)[:80]!r} is {type(value).__name__}, not a tensor: save the state_dict alone"
            )
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise ValueError(f"{name}: {key} is sparse, quantised or without data; save it as a plain tensor")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise ValueError(
                f"{name}: {key} claims the shape {list(value.shape)} but does not hold that many"
            )
    return {key: value.detach() for key, value in loaded.items()}

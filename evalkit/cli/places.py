"""Where `evalkit run` puts a model: its replicas in this process, and this process among others."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from evalkit.cli.terminal import printable

if TYPE_CHECKING:
    from evalkit.model import Card, LoadOptions, Model
    from evalkit.runner import EngineMaker, TaskRun
    from evalkit.runner.shards import Shard


@dataclass(frozen=True, slots=True)
class Places:
    """devices: of the replicas in this process; cluster: how many are on a Ray cluster instead, each on one
    device of this kind."""

    devices: tuple[str, ...]
    cluster: int = 0


def find_places(device: str, devices: str, workers: int, shard: Shard | None, engine: str) -> Places:
    """Where the replicas are to be. ValueError for options that do not go together or name no device."""
    if devices and (device != "auto" or workers > 1):
        raise ValueError("--devices says where the replicas are; leave out --device and --workers")
    places = [place.strip() for place in devices.split(",")] if devices else [device]
    for place in places:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", place):
            option = "--devices" if devices else "--device"
            raise ValueError(f"{option} {place}: expected auto, cpu, cuda or cuda:N")
    if engine == "ray":
        return _on_cluster(device, devices, workers)
    if workers > 1 and device not in ("auto", "cpu"):
        raise ValueError(f"--workers are replicas on the CPU; for {device} name several --devices")
    if workers > 1:
        return Places(("cpu",) * workers)
    return Places((_own_device(),) if shard is not None and places == ["auto"] else tuple(places))


def _on_cluster(device: str, devices: str, workers: int) -> Places:
    from evalkit.runner.ray_engine import has_gpus

    if devices or device.startswith("cuda:"):
        raise ValueError("--engine ray: Ray chooses the devices; say --device cuda or cpu, and --workers N")
    kind = ("cuda" if has_gpus() else "cpu") if device == "auto" else device
    return Places((kind,), workers)


@contextmanager
def placed(card: Card, options: LoadOptions, places: Places) -> Iterator[tuple[Model, EngineMaker | None]]:
    """The model, loaded once a place when there is work for it, and what makes the engine where it is elsewhere."""
    from evalkit.cards import load_model, model_info
    from evalkit.runner import LazyModel

    def load(place: str) -> Model:
        where = f" on {place}" if len(places.devices) > 1 else ""
        print(f"loading {printable(card.name)}{where}", file=sys.stderr, flush=True)
        return load_model(card, replace(options, device=place))

    first, *others = (partial(load, place) for place in places.devices)
    if not places.cluster:
        yield LazyModel(first, model_info(card, options), others), None
        return
    from evalkit.runner.ray_engine import RayReplicas

    # What a model is on a GPU, only a machine with a GPU can tell.
    gpus = options.device == "cuda"
    known = None if gpus else model_info(card, options)
    replicas = RayReplicas(partial(load_model, card, options), places.cluster, gpus=gpus, expected=known)
    try:
        yield LazyModel(first, replicas.info()), replicas.engine
    finally:
        replicas.close()


def _own_device() -> str:
    """The GPU that LOCAL_RANK (torchrun) or SLURM_LOCALID (srun) gives to this process, where there are GPUs."""
    import torch

    name = next((name for name in ("LOCAL_RANK", "SLURM_LOCALID") if os.environ.get(name)), "")
    if not name or not torch.cuda.is_available():
        return "auto"
    number, count = os.environ[name], torch.cuda.device_count()
    if name == "SLURM_LOCALID" and count == 1:
        return "auto"  # Slurm may show each task its own GPU alone.
    if not number.isdecimal() or int(number) >= count:
        raise ValueError(f"{name}={number}: this machine shows {count} CUDA devices")
    return f"cuda:{number}"


def show_shard(run: TaskRun, shard: Shard) -> None:
    """What became of this process's part of a run, and what to do when all are done."""
    output = run.folder.parents[3]
    failed = f", {run.failures} of them errors" if run.failures else ""
    print(
        printable(
            f"shard {shard.rank} of {shard.world}: {len(run.entries)} answers{failed}; "
            f"when all are done: evalkit merge --output {output}"
        ),
        file=sys.stderr,
    )

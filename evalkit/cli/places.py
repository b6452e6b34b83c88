"""Where `evalkit run` puts a model: its replicas in this process, and this process among others."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from evalkit.cli.terminal import printable

if TYPE_CHECKING:
    from evalkit.runner import TaskRun
    from evalkit.runner.shards import Shard


def find_places(device: str, devices: str, workers: int, shard: Shard | None) -> list[str]:
    """The device of every replica. ValueError for options that do not go together or name no device."""
    if devices and (device != "auto" or workers > 1):
        raise ValueError("--devices says where the replicas are; leave out --device and --workers")
    places = [place.strip() for place in devices.split(",")] if devices else [device]
    for place in places:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", place):
            option = "--devices" if devices else "--device"
            raise ValueError(f"{option} {place}: expected auto, cpu, cuda or cuda:N")
    if workers > 1 and device not in ("auto", "cpu"):
        raise ValueError(f"--workers are replicas on the CPU; for {device} name several --devices")
    if workers > 1:
        return ["cpu"] * workers
    return [_own_device()] if shard is not None and places == ["auto"] else places


def _own_device() -> str:
    """The GPU that LOCAL_RANK gives to this process, where there are GPUs."""
    import torch

    number = os.environ.get("LOCAL_RANK", "")
    if not number or not torch.cuda.is_available():
        return "auto"
    if not number.isdecimal() or int(number) >= torch.cuda.device_count():
        raise ValueError(f"LOCAL_RANK={number}: this machine shows {torch.cuda.device_count()} CUDA devices")
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

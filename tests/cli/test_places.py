"""Where `evalkit run` puts the replicas of a model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from evalkit.cli.places import find_places
from evalkit.runner.shards import Shard

Evalkit = Callable[..., Any]


def test_two_workers_answer_as_one_does(evalkit: Evalkit, tones: Path, tmp_path: Path) -> None:
    def journal(name: str, *more: str) -> list[str]:
        asked = ["run", "--model", "good_ear", "--tasks", "tones", "--include-path", str(tones)]
        done = evalkit(*asked, "--batch-size", "2", "--output", str(tmp_path / name), *more)
        assert done.code == 0, done.err
        (found,) = (tmp_path / name).rglob("samples.jsonl")
        return sorted(found.read_text(encoding="utf-8").splitlines())

    assert journal("two", "--workers", "2") == journal("one")


def test_without_ray_its_engine_says_what_to_install(
    evalkit: Evalkit, tones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    asked = ["run", "--model", "good_ear", "--tasks", "tones", "--include-path", str(tones)]
    done = evalkit(*asked, "--engine", "ray")
    assert done.code == 2
    assert "pip install 'evalkit-audio[ray]'" in done.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--devices", "cuda:0,tpu"], "--devices tpu: expected auto, cpu, cuda or cuda:N"),
        (["--device", "gpu"], "--device gpu: expected auto, cpu, cuda or cuda:N"),
        (["--devices", "cuda:0,cuda:1", "--workers", "2"], "leave out --device and --workers"),
        (["--devices", "cuda:0", "--device", "cpu"], "leave out --device and --workers"),
        (["--workers", "2", "--device", "cuda"], "for cuda name several --devices"),
        (["--engine", "ray", "--devices", "cuda:0,cuda:1"], "Ray chooses the devices"),
        (["--engine", "ray", "--device", "cuda:1"], "say --device cuda or cpu, and --workers N"),
    ],
)
def test_places_that_cannot_be_are_refused(
    evalkit: Evalkit, tones: Path, options: list[str], message: str
) -> None:
    done = evalkit("run", "--model", "good_ear", "--tasks", "tones", "--include-path", str(tones), *options)
    assert done.code == 2
    assert message in " ".join(done.err.split())


def test_two_processes_share_a_run_that_is_merged(
    evalkit: Evalkit, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [
        "run",
        "--model",
        "good_ear",
        "--tasks",
        "tones",
        "--include-path",
        str(tones),
        "--batch-size",
        "1",
    ]
    alone = evalkit(*asked, "--output", str(tmp_path / "alone"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        done = evalkit(*asked, "--output", str(tmp_path / "runs"))
        assert done.code == 0, done.err
        assert f"evalkit merge --output {tmp_path / 'runs'}" in done.err
        assert not done.out
    monkeypatch.delenv("RANK")
    monkeypatch.delenv("WORLD_SIZE")
    merged = evalkit("merge", "--output", str(tmp_path / "runs"))
    assert merged.code == 0, merged.err
    (row,) = {line.split("real")[0] for out in (merged.out, alone.out) for line in out.splitlines()[2:3]}
    assert row.startswith("good_ear")


@pytest.mark.parametrize(
    ("variables", "gpus", "device"),
    [
        ({"LOCAL_RANK": "1", "SLURM_LOCALID": "0"}, 2, "cuda:1"),
        ({"SLURM_LOCALID": "1"}, 2, "cuda:1"),
        ({"SLURM_LOCALID": "1"}, 1, "auto"),
        ({"SLURM_LOCALID": "1"}, 0, "auto"),
        ({}, 2, "auto"),
    ],
)
def test_a_process_among_others_takes_the_gpu_that_is_its_own(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], gpus: int, device: str
) -> None:
    for name in ("LOCAL_RANK", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert find_places("auto", "", 1, Shard(1, 2), "local").devices == (device,)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="LOCAL_RANK=2: this machine shows 2 CUDA devices"):
        find_places("auto", "", 1, Shard(1, 2), "local")


def test_there_is_nothing_to_merge_where_nothing_was_run(evalkit: Evalkit, tmp_path: Path) -> None:
    done = evalkit("merge", "--output", str(tmp_path))
    assert done.code == 2
    assert "no shards" in done.err

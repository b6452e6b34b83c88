from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from tiny_model import TinyModel
from toy_task import toy_task

from evalkit.model import ModelInfo, Prepared
from evalkit.runner import DeviceLostError, LazyModel, RunSettings, TaskRun, run_task


def dies(batch: Sequence[Prepared]) -> None:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def run(folder: Path, models: Sequence[TinyModel], name: str) -> TaskRun:
    first, *others = models
    model = LazyModel(lambda: first, first.info, [lambda one=one: one for one in others])
    task = toy_task(folder / "data", 0 if (folder / "data").exists() else 20)
    return run_task(model, task, RunSettings(folder / name, batch_size=2))


def texts(done: TaskRun) -> list[str | None]:
    return [entry.response.text for entry in done.entries]


def test_replicas_share_the_work_and_answer_as_one_model_does(tmp_path: Path) -> None:
    one, two = TinyModel(delay=0.01), TinyModel(delay=0.01)
    done = run(tmp_path, [one, two], "two")
    assert texts(done) == texts(run(tmp_path, [TinyModel()], "one"))
    assert one.asked
    assert two.asked
    assert sorted(one.asked + two.asked) == sorted(entry.id for entry in done.entries)


def test_a_replica_that_dies_gives_its_batch_back(tmp_path: Path) -> None:
    dead, well = TinyModel(fault=dies), TinyModel(delay=0.01)
    done = run(tmp_path, [dead, well], "runs")
    assert done.failures == 0
    assert texts(done) == texts(run(tmp_path, [TinyModel()], "one"))
    assert not dead.asked


def test_a_replica_that_dies_is_told_of_once_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path, [TinyModel(fault=dies), TinyModel(delay=0.01)], "runs")
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told.startswith("lost the replica on cpu: ")
    assert "an illegal memory access was encountered" in told


def test_a_batch_that_comes_back_last_is_still_answered(tmp_path: Path) -> None:
    """The other replica waits for it, though nothing else is left."""
    others_are_done = threading.Event()

    def dies_last(batch: Sequence[Prepared]) -> None:
        others_are_done.wait(10)
        dies(batch)

    def counts(batch: Sequence[Prepared]) -> None:
        if len(well.batches) == 8:
            others_are_done.set()

    well = TinyModel(fault=counts)
    done = run(tmp_path, [TinyModel(fault=dies_last), well], "runs")
    assert done.failures == 0
    assert len(well.batches) == 10


def test_when_all_replicas_die_what_is_answered_is_kept(tmp_path: Path) -> None:
    def dies_third(batch: Sequence[Prepared]) -> None:
        if len(failing.batches) == 3:
            dies(batch)

    failing = TinyModel(fault=dies_third)
    with pytest.raises(DeviceLostError, match="run the same command again"):
        run(tmp_path, [failing, TinyModel(fault=dies)], "runs")
    done = run(tmp_path, [TinyModel()], "runs")
    assert done.resumed == 6
    assert texts(done) == texts(run(tmp_path, [TinyModel()], "one"))


def test_a_sample_that_fails_fails_alone_on_a_replica_too(tmp_path: Path) -> None:
    def dislikes(batch: Sequence[Prepared]) -> None:
        if any(one.request.sample_id == "clip-007" for one in batch):
            raise ValueError("too strange")

    done = run(tmp_path, [TinyModel(fault=dislikes), TinyModel(fault=dislikes)], "runs")
    assert [(e.id, e.response.error) for e in done.entries if e.response.error] == [
        ("clip-007", "too strange")
    ]


@dataclass
class Placed(TinyModel):
    """A tiny model on a device."""

    device: str = "cpu"

    @property
    def info(self) -> ModelInfo:
        return replace(super().info, device=self.device)


@pytest.mark.parametrize(("device", "threads"), [("cpu", 3), ("remote", 5)])
def test_replicas_on_the_cpu_share_its_cores_whether_or_not_there_is_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, threads: int
) -> None:
    found: set[int] = set()

    def notes(batch: Sequence[Prepared]) -> None:
        found.add(torch.get_num_threads())

    before = torch.get_num_threads()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("evalkit.runner.replicas.cores", lambda: 6)
    try:
        torch.set_num_threads(5)
        run(tmp_path, [Placed(fault=notes, device=device) for _ in range(2)], "runs")
    finally:
        torch.set_num_threads(before)
    assert found == {threads}


def test_a_time_limit_holds_on_replicas_too(tmp_path: Path) -> None:
    def hangs(batch: Sequence[Prepared]) -> None:
        while any(one.request.sample_id == "clip-007" for one in batch):
            time.sleep(0.01)

    one, two = TinyModel(fault=hangs), TinyModel(fault=hangs)
    model = LazyModel(lambda: one, one.info, [lambda: two])
    settings = RunSettings(tmp_path / "runs", batch_size=2, max_seconds=0.5, max_failures=1.0)
    done = run_task(model, toy_task(tmp_path / "data", 20), settings)
    assert [(e.id, e.response.error) for e in done.entries if e.response.error] == [
        ("clip-007", "no answer within 0.5 s (--max-seconds)")
    ]


def test_an_interrupt_ends_the_run_and_keeps_what_is_answered(tmp_path: Path) -> None:
    class Interrupts:
        def start(self, total: int, already_done: int) -> None: ...
        def note(self, message: str) -> None: ...
        def close(self) -> None: ...
        def advance(self, n: int, audio_seconds: float) -> None:
            raise KeyboardInterrupt

    one, two = TinyModel(delay=0.01), TinyModel(delay=0.01)
    model = LazyModel(lambda: one, one.info, [lambda: two])
    task, settings = toy_task(tmp_path / "data", 20), RunSettings(tmp_path / "runs", batch_size=2)
    with pytest.raises(KeyboardInterrupt):
        run_task(model, task, settings, Interrupts())
    assert run_task(TinyModel(), task, settings).resumed == 2

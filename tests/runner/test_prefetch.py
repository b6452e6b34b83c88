from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_model import TinyModel
from toy_task import toy_task

from evalkit.data import open_samples
from evalkit.model import Model
from evalkit.runner.engine import Engine, LocalEngine, Preparation
from evalkit.runner.items import work_items
from evalkit.runner.prefetch import abreast, prefetch
from evalkit.runner.ray_engine import RayEngine, RayReplicas
from evalkit.runner.replicas import ReplicaEngine


def test_order_is_kept_whatever_finishes_first() -> None:
    def make(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * 10

    batches = [(3, 1), (2,), (5, 4, 0)]
    made = list(prefetch(batches, make, workers=4, ahead=4))
    assert made == [((3, 1), [30, 10]), ((2,), [20]), ((5, 4, 0), [50, 40, 0])]


def test_two_workers_begin_with_different_recordings_and_keep_few() -> None:
    assert abreast("aaabbbccc", 2) == [0, 3, 1, 4, 2, 5, 6, 7, 8]
    assert abreast("aab", 1) == [0, 1, 2]
    assert abreast("abcd", 3) == [0, 1, 2, 3]


def test_a_worker_does_not_wait_for_a_recording_that_another_reads() -> None:
    both, read = threading.Barrier(2, timeout=10), {"a": threading.Event(), "b": threading.Event()}

    def make(item: tuple[str, int]) -> str:
        recording, question = item
        if question == 0:
            both.wait()  # until the other recording is begun, too
            read[recording].set()
        assert read[recording].wait(10)
        return recording

    batch = [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    [(_, made)] = prefetch([batch], make, workers=2, ahead=0, source=lambda item: item[0])
    assert made == ["a", "a", "b", "b"]


def test_work_goes_ahead_but_not_further_than_allowed() -> None:
    started: list[int] = []
    lock = threading.Lock()

    def make(item: int) -> int:
        with lock:
            started.append(item)
        return item

    batches = [(item, item + 1) for item in range(0, 100, 2)]
    taken = 0
    for batch, _ in prefetch(batches, make, workers=3, ahead=6):
        taken += len(batch)
        time.sleep(0.002)
        assert len(started) <= taken + 6 + len(batch)
    assert sorted(started) == list(range(100))


def test_without_work_ahead_a_batch_is_begun_when_it_is_due() -> None:
    started: list[int] = []

    def make(item: int) -> int:
        started.append(item)
        return item

    seen = 0
    for batch, made in prefetch([(0, 1), (2,), (3, 4, 5)], make, workers=2, ahead=0):
        assert made == list(batch)
        seen += len(batch)
        assert sorted(started) == list(range(seen))


def test_an_exception_is_raised_when_its_batch_is_due() -> None:
    def make(item: int) -> int:
        if item == 2:
            raise TypeError("a programming error")
        return item

    batches = prefetch([(0,), (1,), (2,), (3,)], make, workers=2, ahead=8)
    assert [next(batches)[1], next(batches)[1]] == [[0], [1]]
    with pytest.raises(TypeError, match="a programming error"):
        next(batches)


def test_closing_stops_the_work() -> None:
    started: list[int] = []

    def make(item: int) -> int:
        started.append(item)
        time.sleep(0.01)
        return item

    batches = prefetch([(item,) for item in range(200)], make, workers=1, ahead=100)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    time.sleep(0.05)
    assert len(started) < 20


def test_nothing_to_do() -> None:
    assert list(prefetch([], str, workers=1, ahead=1)) == []


def no_model() -> Model:
    raise AssertionError("nothing is loaded before work is ahead")


@pytest.mark.parametrize(
    ("make", "batches_ahead"),
    [
        (lambda asked: LocalEngine(TinyModel(device="cuda:0"), asked), 2),
        (lambda asked: ReplicaEngine([TinyModel()] * 3, asked), 4),
        (lambda asked: RayEngine(RayReplicas(no_model, 5), asked), 6),
    ],
    ids=["one", "replicas", "ray"],
)
def test_every_replica_has_a_batch_ahead(
    make: Callable[[Preparation], Engine],
    batches_ahead: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workers, ahead = planned(make, tmp_path, monkeypatch)
    assert ahead == batches_ahead * 4 + workers


@pytest.mark.parametrize(("free_cores", "batches_ahead"), [(0, 0), (1, 2)])
def test_nothing_is_done_ahead_beside_a_model_on_all_cores(
    free_cores: int, batches_ahead: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.runner.engine._torch_threads", lambda: 3)
    monkeypatch.setattr("evalkit.runner.engine.cores", lambda: 3 + free_cores)
    workers, ahead = planned(lambda asked: LocalEngine(TinyModel(), asked), tmp_path, monkeypatch)
    assert workers == 3
    assert ahead == (batches_ahead * 4 + workers if free_cores else 0)


def planned(
    make: Callable[[Preparation], Engine], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, float]:
    """How many threads prepare how much ahead, where batches have four samples."""
    task = toy_task(folder, 20)
    samples = open_samples(task)
    items = work_items(task, samples, "real", 0)
    batches = [items[start : start + 4] for start in range(0, 20, 4)]

    class Planned(Exception): ...

    def plan(*_: object, ahead: float, workers: int, **__: object) -> None:
        raise Planned(workers, ahead)

    monkeypatch.setattr("evalkit.runner.engine.prefetch", plan)
    with pytest.raises(Planned) as found:
        next(make(Preparation(task, samples, "real")).run(batches))
    workers, ahead = found.value.args
    return workers, ahead


def test_torch_has_one_thread_in_a_worker_and_keeps_those_of_the_model() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        [(_, threads)] = prefetch([range(3)], lambda item: torch.get_num_threads(), workers=2, ahead=1)
        assert threads == [1, 1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

from __future__ import annotations

import threading
import time

import pytest

from evalkit.runner.prefetch import prefetch


def test_order_is_kept_whatever_finishes_first() -> None:
    def make(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * 10

    batches = [(3, 1), (2,), (5, 4, 0)]
    made = list(prefetch(batches, make, workers=4, ahead=4))
    assert made == [((3, 1), [30, 10]), ((2,), [20]), ((5, 4, 0), [50, 40, 0])]


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

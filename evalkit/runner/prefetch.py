"""CPU work in worker threads, ahead of the device and in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def prefetch(
    batches: Iterable[Sequence[Item]], make: Callable[[Item], Made], *, workers: int, ahead: int
) -> Iterator[tuple[Sequence[Item], list[Made]]]:
    """Yield every batch with `make(item)` of its items, both in order.

    Work is started for the batch being waited for and at most `ahead` items after it, whatever the
    consumer does meanwhile. An exception of `make` is raised here, when its batch is due.
    """
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="evalkit-prepare")
    started: deque[tuple[Sequence[Item], list[Future[Made]]]] = deque()
    waiting = 0
    try:
        for batch in batches:
            started.append((batch, [pool.submit(make, item) for item in batch]))
            waiting += len(batch)
            while waiting - len(started[0][0]) >= ahead:
                waiting -= len(started[0][0])
                yield _finished(*started.popleft())
        while started:
            yield _finished(*started.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _finished(batch: Sequence[Item], futures: list[Future[Made]]) -> tuple[Sequence[Item], list[Made]]:
    return batch, [future.result() for future in futures]

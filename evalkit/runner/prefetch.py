"""CPU work in worker threads, ahead of the device or when it is due, in order."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import zip_longest
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def prefetch(
    batches: Iterable[Sequence[Item]],
    make: Callable[[Item], Made],
    *,
    workers: int,
    ahead: float,
    size: Callable[[Item], float] = lambda item: 1.0,
    source: Callable[[Item], Hashable] = id,
) -> Iterator[tuple[Sequence[Item], list[Made]]]:
    """Yield every batch with `make(item)` of its items, both in order.

    Work is started for the batch being waited for and, after it, until the sizes of the items come to
    `ahead`, whatever the consumer does meanwhile. An exception of `make` is raised here, when its batch is due.
    source: what `make` reads for an item; workers take items of different sources where they can, since one
    would wait for the other.
    """
    pool = ThreadPoolExecutor(
        max_workers=workers, thread_name_prefix="evalkit-prepare", initializer=_without_a_team
    )
    started: deque[tuple[Sequence[Item], list[Future[Made]]]] = deque()
    sizes: deque[float] = deque()
    try:
        for batch in batches:
            begun = {at: pool.submit(make, batch[at]) for at in abreast(list(map(source, batch)), workers)}
            started.append((batch, [begun[at] for at in range(len(batch))]))
            sizes.append(sum(map(size, batch)))
            while sizes and sum(sizes) - sizes[0] >= ahead:
                sizes.popleft()
                yield _finished(*started.popleft())
        while started:
            yield _finished(*started.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def abreast(sources: Sequence[Hashable], workers: int) -> list[int]:
    """Places in an order in which `workers` neighbours have different sources, and a source's places stay near
    each other, so that few have to be kept."""
    groups: dict[Hashable, list[int]] = {}
    for place, source in enumerate(sources):
        groups.setdefault(source, []).append(place)
    each = list(groups.values())
    return [
        place
        for start in range(0, len(each), workers)
        for row in zip_longest(*each[start : start + workers])
        for place in row
        if place is not None
    ]


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _finished(batch: Sequence[Item], futures: list[Future[Made]]) -> tuple[Sequence[Item], list[Made]]:
    return batch, [future.result() for future in futures]


def _without_a_team() -> None:
    """Have torch work in this thread alone, if it is loaded.

    It would start a team of OpenMP threads of its own here. Those and the model's are more than there are cores,
    and libgomp then puts the model's to sleep after every operation instead of having them wait for the next.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return
    from threadpoolctl import ThreadpoolController

    torch.get_num_threads()  # sets the number of this thread at its first call, which must not come later
    ThreadpoolController().limit(limits=1, user_api="openmp")

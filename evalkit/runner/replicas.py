"""Several replicas of one model, on several devices or processor cores, fed from one queue."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Condition, Thread

from evalkit.model import Model, Prepared, Response
from evalkit.runner.answers import reason
from evalkit.runner.engine import (
    Answered,
    Batch,
    Engine,
    LocalEngine,
    Preparation,
    answer_batch,
    prepared_batches,
)
from evalkit.runner.fitting import Fit
from evalkit.runner.long_audio import windowed
from evalkit.runner.prefetch import cores
from evalkit.runner.usage import projector_flops

logger = logging.getLogger(__name__)

Made = tuple[Batch, list[Prepared | Response]]


def engine_for(models: Sequence[Model], preparation: Preparation, seconds: float = math.inf) -> Engine:
    """The engine for one model, or for several replicas of it."""
    if len(models) == 1:
        return LocalEngine(models[0], preparation, seconds)
    return ReplicaEngine(models, preparation, seconds)


@dataclass(frozen=True, slots=True)
class ReplicaEngine:
    """A thread for every replica; whichever is free takes the next batch.

    A replica that fails for good gives its batch back to the others. Replicas on a CPU share its cores.
    seconds: how long an answer may take.
    """

    models: Sequence[Model]
    preparation: Preparation
    seconds: float = math.inf

    def projector_flops(self) -> float:
        return projector_flops(self.models[0])

    def run(self, batches: Sequence[Batch]) -> Answered:
        """Raises what ended the last replica, if batches are left by then."""
        models = windowed(self.models, self.preparation.task.meta.long_audio)
        work = _Work(prepared_batches(models[0], self.preparation, batches, len(models)))
        found: SimpleQueue[tuple[Batch, list[Response]] | BaseException | None] = SimpleQueue()
        threads = [
            Thread(
                target=self._serve, args=(model, work, found), name=f"evalkit-replica-{number}", daemon=True
            )
            for number, model in enumerate(models)
        ]
        failures: list[BaseException] = []
        due, serving = len(batches), len(threads)
        try:
            for thread in threads:
                thread.start()
            while serving:
                one = found.get()
                if isinstance(one, tuple):
                    due -= 1
                    yield one
                    continue
                serving -= 1
                if one is not None:
                    failures.append(one)
        finally:
            work.stop()
        if due and failures:
            raise failures[-1]

    def _serve(
        self,
        model: Model,
        work: _Work,
        found: SimpleQueue[tuple[Batch, list[Response]] | BaseException | None],
    ) -> None:
        device = model.info.device
        if device == "cpu":
            _take_share_of_cores(len(self.models))
        fit = Fit()
        try:
            while (taken := work.take()) is not None:
                batch, made = taken
                try:
                    responses = answer_batch(model, made, self.seconds, fit)
                except BaseException:
                    work.give_back(taken)
                    raise
                found.put((batch, responses))
                work.finished()
        except BaseException as error:  # handed to the thread that waits for answers
            logger.debug("a replica ended", exc_info=error)
            logger.warning("lost the replica on %s: %s", device, reason(error))
            found.put(error)
        else:
            found.put(None)


class _Work:
    """The batches still to be answered: those that came back first, then the next from the feed."""

    def __init__(self, feed: Iterator[Made]) -> None:
        self._feed = feed
        self._returned: list[Made] = []
        self._out = 0
        self._over = False
        self._changed = Condition()

    def take(self) -> Made | None:
        """The next batch; None when all are answered. Waits while others may yet give one back."""
        with self._changed:
            while not self._over:
                taken = self._returned.pop() if self._returned else next(self._feed, None)
                if taken is not None:
                    self._out += 1
                    return taken
                if not self._out:
                    self._over = True
                    self._changed.notify_all()
                    break
                self._changed.wait()
        return None

    def finished(self) -> None:
        with self._changed:
            self._out -= 1
            self._changed.notify_all()

    def give_back(self, taken: Made) -> None:
        with self._changed:
            self._returned.append(taken)
            self._out -= 1
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()


def _take_share_of_cores(replicas: int) -> None:
    """So that replicas on one CPU do not wait for each other's threads."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(max(1, cores() // replicas))

"""Replicas of a model on a Ray cluster. This process plans, decodes and writes the journal; they answer.

Ray starts the replicas, watches over them and starts them again elsewhere when their process or node is lost;
what they were working on goes to whichever is free. Recordings travel with the questions, so that the nodes
need no copy of the data; they need evalkit, and the model's weights at hand.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from evalkit.model import Model, ModelInfo, Request, Response
from evalkit.runner.answers import DeviceLostError, reason
from evalkit.runner.engine import Answered, Batch, Preparation, answer_batch, made_ahead, prepared
from evalkit.runner.fitting import Fit
from evalkit.runner.long_audio import windowed
from evalkit.runner.usage import projector_flops
from evalkit.tasks.schema import LongAudio

# One is answered while the next is prepared.
BATCHES_AT_A_TIME = 2
# So often a replica is started again, and a batch given to another one, before it is taken for the culprit.
RESTARTS, LOSSES = 5, 3

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a replica says of its model once it is loaded."""

    info: ModelInfo
    projector_flops: float


class Replica:
    """A model in a Ray actor.

    load: a list with a reference to what loads it, which Ray leaves as it is: `ready` fetches and calls it, not
    the constructor, so that a failure says why.
    """

    def __init__(self, load: list[Any]) -> None:
        self._load = load
        self._model: Model | None = None
        self._loading, self._device = Lock(), Lock()
        self._fit = Fit()

    def ready(self) -> Facts:
        model = self._loaded()
        return Facts(model.info, projector_flops(model))

    def answer(
        self, asked: list[Request | Response], long_audio: LongAudio | None, seconds: float
    ) -> list[Response]:
        (model,) = windowed([self._loaded()], long_audio)
        made = [prepared(model, one) for one in asked]
        with self._device:
            return answer_batch(model, made, seconds, self._fit)

    def _loaded(self) -> Model:
        with self._loading:
            if self._model is None:
                (load,) = self._load
                self._model = connect().get(load)()
            return self._model


def connect() -> Any:
    """Ray, connected: to the cluster that RAY_ADDRESS or `ray start` names, else to one on this machine.

    Raises ValueError where Ray is not installed or the cluster does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ValueError("--engine ray needs Ray: pip install 'evalkit-audio[ray]'") from error
    if not ray.is_initialized():
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray has no kind of its own for a cluster that cannot be had
            raise ValueError(
                f"no Ray cluster ({error}); RAY_ADDRESS names one, else one is started"
            ) from error
    return ray


def has_gpus() -> bool:
    return bool(connect().cluster_resources().get("GPU"))


class RayReplicas:
    """`count` actors that hold the model that `load` gives; made when they are needed first.

    gpus: each takes a GPU; otherwise they share the processor cores. expected: what they must have loaded.
    """

    def __init__(
        self, load: Callable[[], Model], count: int, *, gpus: bool = False, expected: ModelInfo | None = None
    ) -> None:
        self.count = count
        self._load, self._gpus = load, gpus
        self._expected = expected
        self._actors: list[Any] = []
        # Held for actors that are started again.
        self._kept: list[Any] = []

    def actors(self) -> list[Any]:
        if not self._actors:
            ray = connect()
            share = {"num_gpus": 1} if self._gpus else {"num_cpus": _cores_each(ray, self.count)}
            options = {"max_restarts": RESTARTS, "max_concurrency": BATCHES_AT_A_TIME, **share}
            self._kept = [ray.put(self._load)]
            self._actors = [ray.remote(**options)(Replica).remote(self._kept) for _ in range(self.count)]
        return self._actors

    def info(self) -> ModelInfo:
        """Of the model, as a replica loaded it."""
        if self._expected is None:
            self._expected = self.facts().info
        return self._expected

    def facts(self) -> Facts:
        """Of the replica that is ready first. Raises what loading raised if none becomes ready."""
        ray = connect()
        waiting = [ready(actor) for actor in self.actors()]
        while True:
            (done,), waiting = ray.wait(waiting)
            try:
                return self.checked(ray.get(done))
            except Exception as error:
                if not waiting:
                    raise told(error) from error

    def checked(self, facts: Facts) -> Facts:
        """ValueError for a replica that would answer otherwise than the model that was asked for."""
        wanted, found = self._expected, facts.info
        if wanted and (wanted.fingerprint, wanted.dtype) != (found.fingerprint, found.dtype):
            raise ValueError(
                f"model {wanted.name}: a node of the Ray cluster has other weights, another number format or "
                "another version of evalkit than this machine"
            )
        return facts

    def close(self) -> None:
        """End the actors, so that others have their place."""
        while self._actors:
            connect().kill(self._actors.pop())

    def engine(self, preparation: Preparation, seconds: float = math.inf) -> RayEngine:
        return RayEngine(self, preparation, seconds)


@dataclass(frozen=True, slots=True)
class RayEngine:
    """seconds: how long an answer may take."""

    replicas: RayReplicas
    preparation: Preparation
    seconds: float = math.inf

    def projector_flops(self) -> float:
        return self.replicas.facts().projector_flops

    def run(self, batches: Sequence[Batch]) -> Answered:
        """Raises what ended the last replica, DeviceLostError for a batch that takes its replica with it."""
        feed = made_ahead(batches, self.preparation.asked, self.replicas.count)
        yield from _Shift(self, feed).answered()


@dataclass(slots=True)
class _Given:
    """A batch on its way. losses: how many replicas were lost over it."""

    batch: Batch
    asked: list[Request | Response]
    losses: int = 0

    @property
    def places(self) -> int:
        """How many of a replica's places it takes: all when a replica was lost, so that it is clear over what."""
        return BATCHES_AT_A_TIME if self.losses else 1


class _Shift:
    """One run: which replica has what, what came back, what is still to be given."""

    def __init__(self, engine: RayEngine, feed: Iterator[tuple[Batch, list[Request | Response]]]) -> None:
        self._ray = connect()
        self._engine = engine
        self._feed = feed
        self._actors = engine.replicas.actors()
        self._returned: list[_Given] = []
        self._held: dict[int, int] = {}
        # Answers that are awaited; None for a replica that is to say when it is ready.
        self._awaited: dict[Any, tuple[int, _Given | None]] = {}
        self._lost: Exception | None = None

    def answered(self) -> Answered:
        for number in range(len(self._actors)):
            self._await_ready(number)
        while self._due():
            (done,), _ = self._ray.wait(list(self._awaited))
            number, given = self._awaited.pop(done)
            responses = self._received(done, number, given)
            self._hand_out()
            if given is not None and responses is not None:
                yield given.batch, responses

    def _received(self, done: Any, number: int, given: _Given | None) -> list[Response] | None:
        """The answers to a batch; None for one that goes to another replica, and for a replica that is ready."""
        try:
            found = self._ray.get(done)
            if given is None:
                self._engine.replicas.checked(found)
        except Exception as error:
            self._fail(number, given, error)
            return None
        if given is None:
            self._held[number] = 0
            return None
        if number in self._held:
            self._held[number] -= given.places
        responses: list[Response] = found
        return responses

    def _due(self) -> bool:
        """Whether answers are to be waited for. Raises what ended the last replica, if batches are left by then."""
        if any(given is not None for _, given in self._awaited.values()):
            return True
        left = self._next(idle=True)
        if left is None:
            return False
        self._returned.append(left)
        if not self._awaited and self._lost is not None:
            raise told(self._lost) from self._lost
        return True

    def _fail(self, number: int, given: _Given | None, error: Exception) -> None:
        from ray.exceptions import RayActorError

        logger.debug("replica %d failed", number, exc_info=error)
        self._lost = error
        working = self._held.pop(number, None) is not None
        if working or given is None:
            gone = isinstance(error, RayActorError)
            why = "its process or its node is gone" if gone else reason(told(error))
            logger.warning("lost replica %d of %d: %s", number + 1, len(self._actors), why)
        if given is None:
            return  # It could not load the model, or was lost too often.
        given.losses += 1
        if given.losses >= LOSSES:
            ids = ", ".join(item.entry.id for item in given.batch[:8])
            raise told(error, f"{LOSSES} replicas were lost over the batch of {ids}") from error
        self._returned.append(given)
        if not working:
            return
        if not isinstance(error, RayActorError):
            # Its device is lost but its process is not: Ray makes it anew.
            self._ray.kill(self._actors[number], no_restart=False)
        self._await_ready(number)

    def _await_ready(self, number: int) -> None:
        self._awaited[ready(self._actors[number])] = number, None

    def _hand_out(self) -> None:
        """Give every replica something to do before any has something waiting."""
        for idle in (True, False):
            for number, held in self._held.items():
                if held >= (1 if idle else BATCHES_AT_A_TIME) or (given := self._next(idle)) is None:
                    continue
                long_audio = self._engine.preparation.task.meta.long_audio
                sent = self._actors[number].answer.remote(given.asked, long_audio, self._engine.seconds)
                self._awaited[sent] = number, given
                self._held[number] = held + given.places

    def _next(self, idle: bool) -> _Given | None:
        """For a replica that has nothing to do, first what came back."""
        if idle and self._returned:
            return self._returned.pop()
        found = next(self._feed, None)
        return None if found is None else _Given(*found)


def ready(actor: Any) -> Any:
    """The promise of its facts: kept when the actor has loaded its model, wherever Ray puts it meanwhile, and
    broken when Ray does not start it again. While it is being started every few seconds count as a retry."""
    return actor.ready.options(max_task_retries=-1).remote()


def told(error: Exception, what: str = f"every replica was lost {RESTARTS + 1} times") -> Exception:
    """What went wrong in a replica, without Ray's account of where; `what` for one that was lost without a word."""
    from ray.exceptions import RayActorError, RayTaskError

    if isinstance(error, RayActorError):
        return DeviceLostError(f"{what}; Ray's logs may say why; to go on, run the same command again")
    inner = error.cause if isinstance(error, RayTaskError) else error
    return inner if isinstance(inner, Exception) else error


def _cores_each(ray: Any, count: int) -> int:
    """Processor cores for each of `count` replicas, so that the nodes have room for them."""
    nodes = [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]
    return max(1, int(min(sum(nodes) / count, min((one for one in nodes if one), default=1.0))))

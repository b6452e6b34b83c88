"""The seam between what is to be answered and where it is answered.

The run plans batches of work items and writes the journal; an engine turns batches into responses.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from evalkit.data import AudioError
from evalkit.model import Audio, AudioSetting, HintName, Model, Prepared, Request, Response
from evalkit.runner.answers import answer, failed
from evalkit.runner.fitting import Fit
from evalkit.runner.items import WorkItem
from evalkit.runner.long_audio import bounded, windowed
from evalkit.runner.prefetch import cores, prefetch
from evalkit.runner.recordings import Recordings
from evalkit.runner.usage import projector_flops
from evalkit.tasks import build_request, hints_of
from evalkit.tasks.schema import AudioRef, Sample, Task

SAMPLE_RATE = 16_000
MAX_WORKERS = 8
# Decoded, 2 MB: so many seconds wait in memory for each place ahead.
ORDINARY_SECONDS = 30.0

Batch = Sequence[WorkItem]
Answered = Generator[tuple[Batch, list[Response]], None, None]
Made = TypeVar("Made")


class Engine(Protocol):
    """Where batches are answered: in this process, on several of its devices, or on a cluster."""

    def projector_flops(self) -> float:
        """Of the model, as `usage.projector_flops` counts them."""
        ...

    def run(self, batches: Sequence[Batch]) -> Answered:
        """Yield every batch exactly once, in any order, with one Response per item."""
        ...


@dataclass(frozen=True, slots=True)
class Preparation:
    """Everything that happens to an item before the device. Safe to use from several threads.

    hints: those that the model reads; recordings: those decoded lately.
    """

    task: Task
    samples: Sequence[Sample]
    audio: AudioSetting
    hints: tuple[HintName, ...] = ()
    recordings: Recordings = field(default_factory=Recordings)

    def request(self, item: WorkItem) -> Request:
        """Read, decode and build. Raises AudioError or ValueError for a sample that cannot be asked."""
        sample = self.samples[item.entry.index]
        audios = [self._decoded(ref) for ref in self._given(item, sample)]
        request = build_request(self.task, sample, audios, self.audio)
        return replace(
            request,
            settings=replace(request.settings, seed=item.seed),
            hints=hints_of(self.task, sample, self.audio, self.hints),
        )

    def asked(self, item: WorkItem) -> Request | Response:
        """The item's request, or an error Response with the reason why there is none."""
        try:
            return self.request(item)
        except (AudioError, ValueError, OSError, MemoryError) as error:
            return failed(error)

    def _given(self, item: WorkItem, sample: Sample) -> Sequence[AudioRef]:
        """The sample's audio, or that of others for the setting `shuffled`."""
        if item.audios is None:
            return sample.audios
        return [self.samples[index].audios[place] for index, place in item.audios]

    def _decoded(self, ref: AudioRef) -> Audio:
        if self.audio == "none":
            return _unheard()
        try:
            return bounded(self.recordings.decoded(ref, SAMPLE_RATE), ref.name, self.task.meta.long_audio)
        except AudioError as error:
            # Journals travel: they call a file as the data does, not by its place on this machine.
            raise ValueError(str(error).replace(str(ref.path), ref.name)) from error


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """One model in this process, fed by worker threads. seconds: how long an answer may take."""

    model: Model
    preparation: Preparation
    seconds: float = math.inf

    def projector_flops(self) -> float:
        return projector_flops(self.model)

    def run(self, batches: Sequence[Batch]) -> Answered:
        (model,), fit = windowed([self.model], self.preparation.task.meta.long_audio), Fit()
        on_cores = model.info.device == "cpu" and _torch_threads() >= cores()
        for batch, made in prepared_batches(model, self.preparation, batches, on_cores=on_cores):
            yield batch, answer_batch(model, made, self.seconds, fit)


def prepared_batches(
    model: Model,
    preparation: Preparation,
    batches: Sequence[Batch],
    replicas: int = 1,
    *,
    on_cores: bool = False,
) -> Iterator[tuple[Batch, list[Prepared | Response]]]:
    """Every batch, in order, with its items ready for the model or already answered by an error."""
    return made_ahead(
        batches, lambda item: prepared(model, preparation.asked(item)), replicas, on_cores=on_cores
    )


def made_ahead(
    batches: Sequence[Batch], make: Callable[[WorkItem], Made], replicas: int = 1, *, on_cores: bool = False
) -> Iterator[tuple[Batch, list[Made]]]:
    """Every batch, in order, with what `make` makes of its items in worker threads, ahead by a bounded lot:
    a batch for each of the replicas, which may all be done at once, and one more.

    on_cores: the model computes on all processor cores. A thread beside those of the model would hold one of
    them up, and the others wait for it after every operation; so nothing is done ahead: all cores prepare a
    batch, then all compute.
    """
    if on_cores:
        return prefetch(batches, make, workers=cores(), ahead=0, source=_source)
    workers = max(1, min(MAX_WORKERS, cores() - 1))
    ahead = (1 + replicas) * max(map(len, batches), default=0) + workers
    return prefetch(batches, make, workers=workers, ahead=ahead, size=_size, source=_source)


def prepared(model: Model, asked: Request | Response) -> Prepared | Response:
    """The request ready for the model, or an error Response with the reason why it cannot be."""
    if isinstance(asked, Response):
        return asked
    try:
        return model.prepare(asked)
    except Exception as error:
        # Foreign code, like the model's other calls: one odd sample must not end the run.
        return failed(error)


def _torch_threads() -> int:
    """How many threads torch computes with; 0 while it is not loaded."""
    torch = sys.modules.get("torch")
    return 0 if torch is None else int(torch.get_num_threads())


def _size(item: WorkItem) -> float:
    """What an item takes of the memory for work ahead: one for an ordinary clip, more for a long one."""
    return max(1.0, item.entry.seconds / ORDINARY_SECONDS)


def _source(item: WorkItem) -> Hashable:
    """The recordings that are read for an item; None for long ones, which are read in the order of the batch:
    of several at once too little stays in `Recordings` for the questions that follow."""
    if item.entry.seconds > ORDINARY_SECONDS:
        return None
    return item.audios or item.contents or item.key


def answer_batch(
    model: Model, made: Sequence[Prepared | Response], seconds: float = math.inf, fit: Fit | None = None
) -> list[Response]:
    """Responses in order: those that preparation already had to give, and the model's."""
    answers = iter(answer(model, [one for one in made if isinstance(one, Prepared)], seconds, fit))
    return [next(answers) if isinstance(one, Prepared) else one for one in made]


def _unheard() -> Audio:
    """Stands for an audio that the setting `none` drops from the request."""
    import numpy as np

    return Audio(np.zeros(0, dtype=np.float32), SAMPLE_RATE, "")

"""What a task wants done with recordings longer than a limit: refuse, truncate, or ask window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evalkit.model import Audio, Model, ModelInfo, Prepared, Request, Response
from evalkit.tasks.schema import LongAudio, Sample

_DONE = {
    "chunk": "are asked in windows of that length",
    "truncate": "are heard up to there",
    "refuse": "become errors",
}


def bounded(audio: Audio, name: str, limit: LongAudio | None) -> Audio:
    """The audio as the task wants it heard; windows are cut later. Raises ValueError for one that is refused."""
    if limit is None or limit.policy == "chunk" or audio.seconds <= limit.seconds:
        return audio
    if limit.policy == "refuse":
        raise ValueError(
            f"audio {name!r}: is {audio.seconds:.1f} s long, and the task takes {limit.seconds:g} s at most"
        )
    end = round(limit.seconds * audio.rate)
    return Audio(audio.samples[:end], audio.rate, f"{audio.sha256} first {end}")


def long_note(samples: Sequence[Sample], limit: LongAudio | None) -> str:
    """One line on how many samples are longer than the limit, "" if none is. Reads headers only."""
    if limit is None:
        return ""
    count = sum(sample.seconds > limit.seconds * max(1, len(sample.audios)) for sample in samples)
    what = _DONE[limit.policy]
    return (
        f"{count} of {len(samples)} recordings are longer than {limit.seconds:g} s and {what}"
        if count
        else ""
    )


def windowed(models: Sequence[Model], limit: LongAudio | None) -> tuple[Model, ...]:
    """The models, asked window by window where the task says `chunk`."""
    if limit is None or limit.policy != "chunk":
        return tuple(models)
    return tuple(Windowed(model, limit.seconds) for model in models)


@dataclass(frozen=True, slots=True)
class Windowed:
    """A model that is asked about consecutive windows of a long recording; their texts are joined by a space."""

    model: Model
    seconds: float

    @property
    def info(self) -> ModelInfo:
        return self.model.info

    def prepare(self, request: Request) -> Prepared:
        """The payload is one prepared request for each window. Raises ValueError for several recordings."""
        if all(audio.seconds <= self.seconds for audio in request.audios):
            parts = [self.model.prepare(request)]
        elif len(request.audios) > 1:
            raise ValueError("a question on several recordings cannot be asked in windows")
        else:
            windows = cut(request.audios[0], self.seconds)
            parts = [self.model.prepare(replace(request, audios=(window,))) for window in windows]
        return Prepared(request, tuple(parts), sum(part.cost for part in parts))

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        """Rounds of at most one window an item, so that no batch is larger than it was planned."""
        found: list[list[Response]] = [[] for _ in batch]
        for place in range(max(len(item.payload) for item in batch)):
            due = [index for index, item in enumerate(batch) if place < len(item.payload)]
            answers = self.model.generate([batch[index].payload[place] for index in due])
            for index, answer in zip(due, answers, strict=True):
                found[index].append(answer)
        return [joined(responses) for responses in found]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        return self.model.score_choices([item.payload[0] for item in batch])


def cut(audio: Audio, seconds: float) -> list[Audio]:
    """Consecutive windows of that length, the last one shorter; a rest of under 0.1 s joins the one before."""
    length, rest = round(seconds * audio.rate), audio.rate // 10
    starts = [start for start in range(0, len(audio.samples), length) if len(audio.samples) - start >= rest]
    ends = [*starts[1:], len(audio.samples)]
    return [
        Audio(audio.samples[start:end], audio.rate, f"{audio.sha256} {start}:{end}")
        for start, end in zip(starts, ends, strict=True)
    ]


def joined(responses: Sequence[Response]) -> Response:
    """One response of all windows: an error if one failed, cut off if one was."""
    if len(responses) == 1:
        return responses[0]
    failed = next((one for one in responses if one.error is not None), None)
    if failed is not None:
        return failed
    texts = [(one.text or "").strip() for one in responses]
    return Response(
        text=" ".join(text for text in texts if text),
        finish_reason="length" if any(one.finish_reason == "length" for one in responses) else "stop",
        input_tokens=sum(one.input_tokens for one in responses),
        output_tokens=sum(one.output_tokens for one in responses),
    )

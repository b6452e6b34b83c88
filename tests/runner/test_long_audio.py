"""Recordings longer than a task takes: refused, truncated or asked in windows, and told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from evalkit.model import Audio, AudioSlot, Message, ModelInfo, Prepared, Request, Response
from evalkit.runner.long_audio import Windowed, bounded, cut, long_note, windowed
from evalkit.tasks import settings_facts
from evalkit.tasks.schema import LongAudio, Sample, Task, TaskMeta


@dataclass
class Meter:
    """Says how long what it heard was; fails on silence."""

    info: ModelInfo = field(default_factory=lambda: ModelInfo("meter", "f", "cpu", "float32"))

    def prepare(self, request: Request) -> Prepared:
        return Prepared(request, request.audios[0], len(request.audios[0].samples))

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        return [self._answer(item.payload) for item in batch]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        raise NotImplementedError

    def _answer(self, audio: Audio) -> Response:
        if not audio.samples.any():
            return Response(finish_reason="error", error="silence")
        return Response(text=f"{audio.seconds:g}", input_tokens=2, output_tokens=1)


def sound(seconds: float) -> Audio:
    return Audio(np.ones(round(seconds * 1000), np.float32), 1000, "abc")


def request(*audios: Audio) -> Request:
    return Request("s", (Message("user", tuple(AudioSlot(i) for i in range(len(audios)))),), audios)


def test_a_recording_within_the_limit_is_left_alone() -> None:
    for policy in ("refuse", "truncate", "chunk"):
        audio = sound(2.0)
        assert bounded(audio, "a", LongAudio(policy, 2.0)) is audio
    assert bounded(sound(99.0), "a", None).seconds == 99.0


def test_a_refused_recording_says_how_long_it_is() -> None:
    with pytest.raises(ValueError, match=r"audio 'a.wav': is 3.0 s long, and the task takes 2 s at most"):
        bounded(sound(3.0), "a.wav", LongAudio("refuse", 2.0))


def test_a_truncated_recording_is_another_content() -> None:
    heard = bounded(sound(3.0), "a", LongAudio("truncate", 2.0))
    assert heard.seconds == 2.0 and heard.sha256 != "abc"


def test_windows_cover_every_sample_once() -> None:
    audio = Audio(np.arange(7050, dtype=np.float32), 1000, "abc")
    windows = cut(audio, 2.0)
    assert [len(window.samples) for window in windows] == [2000, 2000, 2000, 1050]
    assert np.array_equal(np.concatenate([window.samples for window in windows]), audio.samples)
    assert len({window.sha256 for window in windows}) == 4
    assert [len(window.samples) for window in cut(sound(4.05), 2.0)] == [2000, 2050], "no scrap of 50 ms"


def test_texts_of_windows_are_joined_in_order_and_short_ones_batched_beside_them() -> None:
    model = Windowed(Meter(), 2.0)
    batch = [model.prepare(request(sound(seconds))) for seconds in (5.0, 1.0, 3.0)]
    assert [item.cost for item in batch] == [5000, 1000, 3000]
    long, short, middle = model.generate(batch)
    assert (long.text, short.text, middle.text) == ("2 2 1", "1", "2 1")
    assert (long.input_tokens, long.output_tokens) == (6, 3)


def test_a_window_that_fails_fails_the_recording() -> None:
    quiet = Audio(np.concatenate([np.ones(2000), np.zeros(2000)]).astype(np.float32), 1000, "q")
    model = Windowed(Meter(), 2.0)
    [response] = model.generate([model.prepare(request(quiet))])
    assert response.error == "silence" and response.text is None


def test_several_recordings_cannot_be_asked_in_windows() -> None:
    with pytest.raises(ValueError, match="several recordings"):
        Windowed(Meter(), 2.0).prepare(request(sound(1.0), sound(5.0)))


def test_only_chunk_changes_the_model() -> None:
    model = Meter()
    assert windowed([model], None) == windowed([model], LongAudio("truncate", 2.0)) == (model,)
    assert windowed([model], LongAudio("chunk", 2.0)) == (Windowed(model, 2.0),)


def test_a_run_tells_how_many_are_long() -> None:
    samples = [Sample(str(n), {}, (), ("x",), seconds=n) for n in (1.0, 2.0, 3.0)]
    note = long_note(samples, LongAudio("truncate", 1.5))
    assert note == "2 of 3 recordings are longer than 1.5 s and are heard up to there"
    assert long_note(samples, LongAudio("truncate", 9.0)) == long_note(samples, None) == ""


def test_the_policy_is_part_of_the_settings() -> None:
    task = Task("t", Path("t.yaml"), "data", "Hear.", "text")
    limited = replace(task, meta=TaskMeta(long_audio=LongAudio("chunk", 30.0)))
    assert settings_facts(limited)["long_audio"] == ["chunk", 30.0]
    assert "long_audio" not in settings_facts(task)

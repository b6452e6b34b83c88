"""Plain Whisper as a model: the real weights, real prompts of a telephone system."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evalkit.cards import resolve_model
from evalkit.data import decode
from evalkit.model import (
    Audio,
    AudioSlot,
    GenerationSettings,
    Hints,
    LoadOptions,
    Message,
    ModelInfo,
    Request,
)
from evalkit.tasks.schema import AudioRef
from model_adapters.backbone import Backbone
from model_adapters.whisper import Recogniser, Recording, WhisperASR, info, load

RATE = 16_000
TASKS = Path(__file__).parents[2] / "tasks/mini/data"


def audio(samples: Any, rate: int = RATE) -> Audio:
    return Audio(np.asarray(samples, dtype=np.float32), rate, "0")


def clip(task: str, name: str) -> tuple[Audio, str]:
    """A test recording and what is said in it."""
    rows = map(json.loads, (TASKS / task / "test.jsonl").read_text(encoding="utf-8").splitlines())
    row = next(row for row in rows if row["id"] == name)
    return decode(AudioRef(name, TASKS / task / row["audio"]), RATE), row["text"]


def ask(*audios: Audio, language: str = "en", **settings: Any) -> Request:
    content = (*(AudioSlot(i) for i in range(len(audios))), "Transcribe the speech.")
    given = GenerationSettings(**{"max_new_tokens": 64, **settings})
    return Request("s", (Message("user", content),), audios, settings=given, hints=Hints(language=language))


@pytest.fixture(scope="module")
def recogniser(backbone: Backbone) -> Recogniser:
    return Recogniser(backbone.whisper, torch.float32, torch.device("cpu"))


@pytest.fixture(scope="module")
def model(recogniser: Recogniser) -> WhisperASR:
    return WhisperASR(recogniser, ModelInfo("whisper_base", "0", "cpu", "float32", hints=("language",)))


def texts(model: WhisperASR, *requests: Request) -> list[str | None]:
    return [response.text for response in model.generate([model.prepare(one) for one in requests])]


def test_a_batch_gives_what_whispers_own_generate_gives_clip_by_clip(
    model: WhisperASR, recogniser: Recogniser, clips: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    prepared = [model.prepare(ask(audio(one))) for one in clips(3)]
    heard = [response.text for response in model.generate(prepared)]
    assert "[transformers]" not in capfd.readouterr().err
    assert heard == ["Agent logged off.", "Thank you.", "Calling."]
    for text, one in zip(heard, prepared, strict=True):
        mels = one.payload[0].mels[0][None]
        rows = recogniser.model.generate(mels, language="en", task="transcribe", max_new_tokens=64)
        assert recogniser._processor.decode(rows[0], skip_special_tokens=True).strip() == text


def test_recordings_of_one_request_get_a_line_each(model: WhisperASR, clips: Any) -> None:
    one, other = (audio(samples) for samples in clips(2))
    prepared = [model.prepare(ask(*each)) for each in ((other, one), (one,))]
    first, second = model.generate(prepared)
    assert first.text == "Thank you.\nAgent logged off."
    assert (second.text, second.finish_reason) == ("Agent logged off.", "stop")
    assert first.output_tokens > second.output_tokens > 0


def test_speech_is_taken_for_the_language_of_the_task_or_else_detected(model: WhisperASR) -> None:
    french, said = clip("asr_fr", "asterisk-fr-agent-pass")
    told, detected, mistaken = texts(
        model, ask(french, language="fr"), ask(french, language=""), ask(french, language="en")
    )
    assert str(told).lower().startswith(said.lower()[:30])
    assert detected == told != mistaken


def test_the_users_language_goes_before_the_tasks(recogniser: Recogniser) -> None:
    french, _ = clip("asr_fr", "asterisk-fr-agent-pass")
    model = WhisperASR(recogniser, ModelInfo("w", "0", "cpu", "float32"), language="fr")
    assert model.prepare(ask(french, language="en")).payload[0].language == "fr"


def test_more_than_30_seconds_are_heard_window_by_window(model: WhisperASR, clips: Any) -> None:
    one, other = clips(2)
    long = np.zeros(33 * RATE, dtype=np.float32)
    long[: len(one)], long[31 * RATE : 31 * RATE + len(other)] = one, other[: 2 * RATE]
    prepared = model.prepare(ask(audio(long)))
    assert prepared.cost == 2
    assert model.generate([prepared])[0].text == "Agent logged off. Thank you."


def test_a_recording_of_many_windows_goes_through_the_model_a_few_at_a_time(
    recogniser: Recogniser, clips: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = [recogniser.recording(audio(one), "en").mels[0] for one in clips(3)]
    together: list[int] = []
    encoder = recogniser.model.get_encoder()
    handle = encoder.register_forward_pre_hook(lambda _, given: together.append(len(given[0])))
    monkeypatch.setattr("model_adapters.whisper._WINDOWS", 2)
    (heard,) = recogniser.transcribe([Recording(tuple(windows), "en")], 64)
    handle.remove()
    assert together == [2, 1]
    assert (heard.text, heard.cut) == ("Agent logged off. Thank you. Calling.", False)


def test_a_limit_of_new_tokens_or_a_stop_string_ends_the_answer(model: WhisperASR, clips: Any) -> None:
    (samples,) = clips(1)
    (cut,) = model.generate([model.prepare(ask(audio(samples), max_new_tokens=2))])
    assert (cut.finish_reason, cut.output_tokens, cut.text) == ("length", 2, "Agent logged")
    (stopped,) = model.generate(
        [model.prepare(ask(audio(samples), max_new_tokens=1_000, stop=(" off", "!")))]
    )
    assert (stopped.finish_reason, stopped.output_tokens, stopped.text) == ("stop", 4, "Agent logged")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (replace(ask(audio(np.zeros(RATE))), choices=("yes", "no")), "cannot weigh choices"),
        (ask(audio(np.zeros(RATE)), do_sample=True), "decodes greedily: it cannot sample"),
        (ask(), "there is no audio to hear"),
        (ask(audio(np.zeros(RATE), rate=8_000)), "audio of 8000 Hz; this model takes 16000 Hz"),
        (ask(audio([])), "no samples"),
        (ask(audio([0.0, float("nan")])), "NaN or infinite"),
        (ask(audio(np.zeros(RATE)), language="klingon"), "knows no language 'klingon'; it knows .*, en,"),
    ],
    ids=["choices", "sampling", "nothing", "rate", "empty", "nan", "language"],
)
def test_what_it_cannot_do_is_refused_with_a_reason(
    model: WhisperASR, request_: Request, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model.prepare(request_)


def test_its_fingerprint_covers_the_language_and_is_known_before_it_is_loaded(backbone: Backbone) -> None:
    card = resolve_model("whisper_base")
    plain, english = (info(card, LoadOptions(args=args)) for args in ({}, {"language": "en"}))
    assert plain.fingerprint != english.fingerprint
    assert (plain.hints, english.hints) == (("language",), ())
    assert plain.sources == backbone.sources
    loaded = load(card, LoadOptions())
    assert loaded.info == plain
    parameters = sum(weight.numel() for weight in loaded.recogniser.model.parameters())
    assert plain.parameters == plain.active_parameters == parameters


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            {"langauge": "en"},
            "--model-args for whisper_base: unknown key 'langauge'; known are revision, language, task",
        ),
        ({"language": "english"}, "knows no language 'english'"),
    ],
)
def test_model_args_that_mean_nothing_are_refused(
    backbone: Backbone, args: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        info(resolve_model("whisper_base"), LoadOptions(args=args))

"""A served model: what is sent, what becomes of the answers, and what a faulty server does to a run."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fault_server import Reply, Server, chat, serving

from evalkit.cards import resolve_model
from evalkit.model import (
    Audio,
    AudioSlot,
    Card,
    GenerationSettings,
    LoadOptions,
    Message,
    Request,
    Response,
)
from model_adapters.openai_api import info, load
from model_adapters.openai_api.config import ServerConfig

KEY = "sk-secret-0123456789"
TONE = Audio(np.sin(np.arange(1600) / 5).astype(np.float32) * 0.5, 16_000, "tone")
NOISE = Audio(np.random.default_rng(0).uniform(-0.5, 0.5, 800).astype(np.float32), 16_000, "noise")


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def ask(*audios: Audio, text: str = "What is it?", **more: Any) -> Request:
    content = (*(AudioSlot(index) for index in range(len(audios))), text)
    settings = more.pop("settings", GenerationSettings(max_new_tokens=16))
    return Request("s", (Message("user", content),), audios, settings=settings, **more)


def model(server: Server, name: str = "listener", **args: str) -> Any:
    return load(resolve_model(f"openai:{name}"), LoadOptions(args=args, base_url=server.url))


def answers(loaded: Any, *requests: Request) -> list[Response]:
    found: list[Response] = loaded.generate([loaded.prepare(one) for one in requests])
    return found


def test_the_server_hears_the_audio_where_the_message_places_it() -> None:
    with serving(lambda _: chat("a tone")) as server:
        first, second = answers(model(server), ask(TONE), ask(NOISE, TONE))
    assert (first.text, second.text, first.finish_reason) == ("a tone", "a tone", "stop")
    bodies = sorted((seen.json for seen in server.seen), key=lambda body: len(body["messages"][0]["content"]))
    heard, text = bodies[0]["messages"][0]["content"]
    assert text == {"type": "text", "text": "What is it?"}
    assert (heard["type"], heard["input_audio"]["format"]) == ("input_audio", "wav")
    samples, rate = soundfile.read(
        io.BytesIO(base64.b64decode(heard["input_audio"]["data"])), dtype="float32"
    )
    assert rate == 16_000
    np.testing.assert_allclose(samples, TONE.samples, atol=1 / 32768)
    assert [part["type"] for part in bodies[1]["messages"][0]["content"]] == [
        "input_audio",
        "input_audio",
        "text",
    ]
    assert bodies[1]["messages"][0]["content"][1] == heard
    assert {seen.path for seen in server.seen} == {"/v1/chat/completions"}


def test_settings_are_sent_in_the_servers_words() -> None:
    with serving(lambda _: chat("x")) as server:
        drawn = GenerationSettings(9, True, 0.7, 0.9, ("\n",), 5)
        answers(model(server), ask(TONE), ask(TONE, settings=drawn))
        answers(model(server, token_limit="max_completion_tokens"), ask(TONE))
    greedy, sampled = sorted((seen.json for seen in server.seen[:2]), key=lambda body: body["temperature"])
    assert (greedy["model"], greedy["max_tokens"], greedy["temperature"]) == ("listener", 16, 0.0)
    assert "seed" not in greedy
    assert {key: sampled[key] for key in ("max_tokens", "temperature", "top_p", "stop", "seed")} == {
        "max_tokens": 9,
        "temperature": 0.7,
        "top_p": 0.9,
        "stop": ["\n"],
        "seed": 5,
    }
    assert server.seen[2].json["max_completion_tokens"] == 16


def test_what_the_server_counts_is_kept_and_priced() -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 10}
    prices = {
        "dollars_per_million_input_tokens": "2",
        "dollars_per_million_output_tokens": "100",
        "dollars_per_audio_minute": "0.6",
    }
    with serving(lambda _: chat("x", usage=usage)) as server:
        (response,) = answers(model(server, **prices), ask(TONE))
    assert (response.input_tokens, response.output_tokens) == (1000, 10)
    assert response.cost == pytest.approx(0.002 + 0.001 + 0.6 * 0.1 / 60)


@pytest.mark.parametrize(
    ("message", "finish", "response"),
    [
        ({"content": "cut he"}, "length", Response("cut he", finish_reason="length")),
        ({"content": [{"type": "text", "text": "in parts"}]}, "stop", Response("in parts")),
        ({"content": None, "refusal": "I will not."}, "stop", Response("I will not.")),
        ({"content": "said. STOP more"}, "length", Response("said. ")),
        ({"content": None}, "stop", Response("")),
    ],
    ids=["length", "parts", "refusal", "stop string", "nothing"],
)
def test_every_form_of_answer_is_read(message: Any, finish: str, response: Response) -> None:
    body = json.dumps({"choices": [{"message": message, "finish_reason": finish}]}).encode()
    with serving(lambda _: Reply(body=body)) as server:
        assert answers(model(server), ask(TONE, settings=GenerationSettings(16, stop=("STOP",)))) == [
            response
        ]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"choices": []}, r"no choices\[0\].message: its keys are \['choices'\]"),
        (
            {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]},
            "content filter withheld",
        ),
        ({"error": {"message": "overloaded"}}, "answered with an error: overloaded"),
        ([1], "no JSON object"),
    ],
)
def test_an_answer_that_is_none_becomes_an_error_of_its_sample(body: Any, error: str) -> None:
    with serving(lambda _: Reply(body=json.dumps(body).encode())) as server:
        (response,) = answers(model(server), ask(TONE))
    assert (response.text, response.finish_reason) == (None, "error")
    assert re.search(error, str(response.error))


def test_choices_are_offered_by_letters_and_answered_in_text() -> None:
    with serving(lambda _: chat("B")) as server:
        loaded = model(server)
        (response,) = loaded.score_choices([loaded.prepare(ask(TONE, choices=("cat", "dog")))])
    assert (response.text, response.choice_logprobs) == ("B", ())
    sent = server.seen[0].json["messages"][0]["content"][-1]["text"]
    assert sent == "\nA. cat\nB. dog\nAnswer with the letter of the right option only."
    with pytest.raises(ValueError, match="27 choices cannot be offered by letters"):
        loaded.prepare(ask(TONE, choices=tuple(map(str, range(27)))))


def test_a_transcription_server_gets_a_file_for_each_audio_and_the_language() -> None:
    texts = iter(["one ", "two"])
    with serving(lambda _: Reply(body=json.dumps({"text": next(texts)}).encode())) as server:
        loaded = model(server, name="whisper-1", language="fr", concurrency="1")
        (response,) = answers(loaded, ask(TONE, NOISE))
    assert response.text == "one\ntwo"
    assert [seen.path for seen in server.seen] == ["/v1/audio/transcriptions"] * 2
    assert b'name="language"\r\n\r\nfr\r\n' in server.seen[0].body
    assert b'name="model"\r\n\r\nwhisper-1\r\n' in server.seen[0].body
    assert b"RIFF" in server.seen[0].body
    assert loaded.info.hints == ()
    assert info(resolve_model("openai:whisper-1"), LoadOptions(base_url=server.url)).hints == ("language",)


@pytest.fixture
def listening() -> Iterator[Server]:
    with serving(lambda _: chat("x")) as server:
        yield server


@pytest.mark.security
def test_the_key_comes_from_the_environment_and_goes_to_the_server_alone(
    listening: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    loaded = model(listening)
    answers(loaded, ask(TONE))
    assert listening.seen[0].headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(loaded.info)
    assert KEY not in listening.seen[0].body.decode()


@pytest.mark.security
def test_the_default_key_is_not_sent_unencrypted_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    from model_adapters.openai_api.config import find_key

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("MINE", "other")
    assert find_key(ServerConfig(model="m", base_url="http://gpu.example:8000")) == ""
    assert find_key(ServerConfig(model="m", base_url="https://gpu.example:8000")) == KEY
    assert (
        find_key(ServerConfig(model="m", base_url="http://gpu.example:8000", api_key_env="MINE")) == "other"
    )


@pytest.mark.parametrize(
    ("args", "url", "message"),
    [
        ({}, "", "https://api.openai.com/v1 needs a key: set OPENAI_API_KEY; or .*--base-url"),
        ({"api_key_env": "NOWHERE"}, "http://127.0.0.1:1", "set the environment variable NOWHERE"),
        ({"concurency": "4"}, "http://127.0.0.1:1", "concurency: Extra inputs .*has: model, .*concurrency"),
        ({"concurrency": "many"}, "http://127.0.0.1:1", "concurrency: Input should be a valid integer"),
        ({}, "127.0.0.1:8000", "no server's address; it looks like http://127.0.0.1:8000/v1"),
        ({}, "http://me:secret@host/v1", "may hold no user, password"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(args: dict[str, str], url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(resolve_model("openai:listener"), LoadOptions(args=args, base_url=url))


def test_the_fingerprint_covers_what_changes_an_answer_and_nothing_else() -> None:
    card = Card("m", "openai", {"model": "m", "base_url": "http://127.0.0.1:1/v1"}, Path("m.yaml"))

    def made(**args: str) -> str:
        return info(card, LoadOptions(args=args)).fingerprint

    assert made() == made(concurrency="2", retries="0", timeout="3", dollars_per_audio_minute="1")
    others = [made(endpoint="transcriptions"), made(model="n"), made(base_url="http://127.0.0.1:2")]
    assert len({made(), *others}) == 4

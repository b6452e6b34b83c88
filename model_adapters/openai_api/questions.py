"""Requests as the server's JSON or form, and its answers as Responses."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.model import Audio, AudioSlot, FinishReason, Message, Request, Response
from model_adapters.letters import lettered
from model_adapters.openai_api.client import Call
from model_adapters.openai_api.config import ServerConfig
from model_adapters.stops import until

CHAT, TRANSCRIPTIONS = "/chat/completions", "/audio/transcriptions"
# More stop strings than this are refused by OpenAI; the others are looked for in the answer.
SENT_STOPS = 4


def chat_call(request: Request, config: ServerConfig) -> Call:
    """The chat completion that asks the request. With choices, they are offered by letters.

    Raises ValueError for more choices than letters and for audio that is not finite.
    """
    settings = request.settings
    messages = [_message(message, request.audios) for message in request.messages]
    if request.choices:
        messages[-1]["content"].append({"type": "text", "text": lettered(request.choices)})
    sampling: dict[str, Any] = {"temperature": 0.0}
    if settings.do_sample:
        sampling = {"temperature": settings.temperature, "top_p": settings.top_p, "seed": settings.seed}
    stops = {"stop": list(settings.stop[:SENT_STOPS])} if settings.stop and not request.choices else {}
    body = {
        "model": config.model,
        "messages": messages,
        config.token_limit: settings.max_new_tokens,
        **sampling,
        **stops,
        **config.extra_body,
    }
    return Call(CHAT, body=body)


def transcription_calls(request: Request, config: ServerConfig) -> tuple[Call, ...]:
    """One transcription for each audio. The text of the request plays no part.

    Raises ValueError for a request without audio, with choices or with sampling.
    """
    if request.choices:
        raise ValueError("a transcription server transcribes speech: it cannot weigh choices")
    if request.settings.do_sample:
        raise ValueError("transcriptions are asked for at temperature 0: they cannot be sampled")
    if not request.audios:
        raise ValueError("a transcription server transcribes speech: there is no audio to hear")
    form = {"model": config.model, "response_format": "json", "temperature": "0"}
    language = config.language or request.hints.language
    if language:
        form["language"] = language
    return tuple(Call(TRANSCRIPTIONS, form=form, wav=wav(audio)) for audio in request.audios)


def wav(audio: Audio) -> bytes:
    """The audio as a WAV file of 16 bits."""
    import numpy as np
    import soundfile

    if not np.isfinite(audio.samples).all():
        raise ValueError("audio with NaN or infinite samples")
    file = io.BytesIO()
    soundfile.write(file, np.clip(audio.samples, -1.0, 1.0), audio.rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def chat_response(answer: Mapping[str, Any], request: Request, config: ServerConfig) -> Response:
    """The first choice of a chat completion. A refusal is an answer; a withheld one is an error."""
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        text = _text(message)
    except (KeyError, IndexError, TypeError, AttributeError):
        return _failed(f"the server's answer has no choices[0].message: its keys are {sorted(answer)}")
    if choice.get("finish_reason") == "content_filter":
        return _failed("the server's content filter withheld the answer")
    text, stopped = until(text, () if request.choices else request.settings.stop)
    ended: FinishReason = "length" if choice.get("finish_reason") == "length" and not stopped else "stop"
    return _counted(text, ended, [answer], request, config)


def transcription_response(
    answers: Sequence[Mapping[str, Any]], request: Request, config: ServerConfig
) -> Response:
    """Several recordings of one request get a line each."""
    texts = [answer.get("text") for answer in answers]
    if not all(isinstance(text, str) for text in texts):
        return _failed(f"the server's answer has no text: its keys are {sorted(answers[0])}")
    text, _ = until("\n".join(str(text).strip() for text in texts), request.settings.stop)
    return _counted(text, "stop", answers, request, config)


def _message(message: Message, audios: Sequence[Audio]) -> dict[str, Any]:
    return {"role": message.role, "content": [_part(part, audios) for part in message.content]}


def _part(part: str | AudioSlot, audios: Sequence[Audio]) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    data = base64.b64encode(wav(audios[part.index])).decode("ascii")
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if part.get("type") == "text")
    return content if isinstance(content, str) else str(message.get("refusal") or "")


def _counted(
    text: str,
    ended: FinishReason,
    answers: Sequence[Mapping[str, Any]],
    request: Request,
    config: ServerConfig,
) -> Response:
    """The Response with the tokens that the server counted and what they cost."""
    read = sum(_count(answer, "prompt_tokens", "input_tokens") for answer in answers)
    written = sum(_count(answer, "completion_tokens", "output_tokens") for answer in answers)
    minutes = sum(audio.seconds for audio in request.audios) / 60
    millionth = 1e-6
    cost = (
        read * config.dollars_per_million_input_tokens * millionth
        + written * config.dollars_per_million_output_tokens * millionth
        + minutes * config.dollars_per_audio_minute
    )
    return Response(text, finish_reason=ended, input_tokens=read, output_tokens=written, cost=cost)


def _count(answer: Mapping[str, Any], *names: str) -> int:
    usage = answer.get("usage")
    found = [usage.get(name) for name in names] if isinstance(usage, Mapping) else []
    return next((count for count in found if isinstance(count, int)), 0)


def _failed(why: str) -> Response:
    return Response(finish_reason="error", error=why)

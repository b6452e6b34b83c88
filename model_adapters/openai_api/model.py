"""A served model under the Model protocol."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from evalkit.model import Card, LoadOptions, ModelInfo, Prepared, Request, Response
from model_adapters.letters import LETTER_REQUEST
from model_adapters.openai_api.client import Call, Client, Failure
from model_adapters.openai_api.config import ServerConfig, find_key, read_config
from model_adapters.openai_api.questions import (
    chat_call,
    chat_response,
    transcription_calls,
    transcription_response,
)

# Part of the fingerprint: raise it whenever a change here changes an answer.
CODE_VERSION = 1
FEATURES_PER_SECOND = 12.5


class ServedModel:
    """Text from chat completions or transcriptions.

    A server gives no likelihood for a choice, so choices are offered by letters and the answer stays text:
    scoring extracts the choice from it, and one that names none is `unparsed`.
    """

    def __init__(self, config: ServerConfig, client: Client, info: ModelInfo) -> None:
        self.info = info
        self._config = config
        self._client = client

    def prepare(self, request: Request) -> Prepared:
        calls: tuple[Call, ...]
        if self._config.path == "transcriptions":
            calls = transcription_calls(request, self._config)
        else:
            calls = (chat_call(request, self._config),)
        seconds = sum(audio.seconds for audio in request.audios)
        return Prepared(request, calls, 1 + round(seconds * FEATURES_PER_SECOND))

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        answers = iter(self._client.post([call for prepared in batch for call in prepared.payload]))
        return [
            self._response(prepared.request, [next(answers) for _ in prepared.payload]) for prepared in batch
        ]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        """Responses with text and without log-likelihoods."""
        return self.generate(batch)

    def _response(self, request: Request, answers: Sequence[object]) -> Response:
        for answer in answers:
            if isinstance(answer, Failure):
                return Response(finish_reason="error", error=answer.reason)
        objects = [answer for answer in answers if isinstance(answer, dict)]
        if self._config.path == "transcriptions":
            return transcription_response(objects, request, self._config)
        return chat_response(objects[0], request, self._config)


def load(card: Card, options: LoadOptions) -> ServedModel:
    """Entry point `openai` of the group `evalkit.models`. Raises ValueError for a key that is not set."""
    config = read_config(card, options)
    return ServedModel(config, Client(config, find_key(config)), info(card, options))


def info(card: Card, options: LoadOptions) -> ModelInfo:
    """Entry point `openai` of the group `evalkit.infos`. What a server runs can only be taken from its name."""
    config = read_config(card, options)
    identity = {
        "code": CODE_VERSION,
        "model": config.model,
        "base_url": config.base_url,
        "path": config.path,
        "language": config.language,
        "extra_body": config.extra_body,
        "letters": LETTER_REQUEST,
    }
    prices = (
        f"{config.dollars_per_million_input_tokens:g} and {config.dollars_per_million_output_tokens:g} dollars "
        f"per million input and output tokens, {config.dollars_per_audio_minute:g} per minute of audio"
    )
    return ModelInfo(
        name=card.name,
        fingerprint=hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest(),
        device="remote",
        dtype="",
        sources={"server": config.base_url, "model": config.model, "endpoint": config.path, "prices": prices},
        hints=("language",) if config.path == "transcriptions" and not config.language else (),
    )

"""What a card or `--model-args` may say about a server, and the key it is sent."""

from __future__ import annotations

import os
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from evalkit.model import Card, LoadOptions

PUBLIC = "https://api.openai.com/v1"
KEY_VARIABLE = "OPENAI_API_KEY"
LOOPBACK = ("localhost", "127.0.0.1", "::1")

Endpoint = Literal["chat", "transcriptions"]


class ServerConfig(BaseModel):
    """`config` of a card whose loader is `openai`. Prices are US dollars, and count the cost of a run.

    base_url: without a path, /v1 is added; endpoint: `auto` takes /audio/transcriptions for names with
    "whisper" or "transcribe", as OpenAI's have, else /chat/completions; api_key_env: the environment variable
    that holds the key; language: of all speech, for transcriptions; timeout: seconds for one attempt;
    extra_body: more fields of a chat request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1)
    base_url: str = PUBLIC
    endpoint: Literal["auto", "chat", "transcriptions"] = "auto"
    api_key_env: str = ""
    language: str = ""
    concurrency: int = Field(8, ge=1, le=256)
    requests_per_minute: float = Field(0.0, ge=0.0)
    retries: int = Field(5, ge=0, le=20)
    timeout: float = Field(120.0, gt=0.0)
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  # noqa: S105
    extra_body: dict[str, Any] = {}
    dollars_per_million_input_tokens: float = Field(0.0, ge=0.0)
    dollars_per_million_output_tokens: float = Field(0.0, ge=0.0)
    dollars_per_audio_minute: float = Field(0.0, ge=0.0)

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no server's address; it looks like http://127.0.0.1:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("it may hold no user, password or query: keys come from the environment")
        return url.rstrip("/") if parts.path.strip("/") else f"{url.rstrip('/')}/v1"

    @property
    def path(self) -> Endpoint:
        if self.endpoint != "auto":
            return self.endpoint
        heard = any(word in self.model.lower() for word in ("whisper", "transcribe"))
        return "transcriptions" if heard else "chat"

    @property
    def on_loopback(self) -> bool:
        return urlsplit(self.base_url).hostname in LOOPBACK


def read_config(card: Card, options: LoadOptions) -> ServerConfig:
    """The card's config with `--base-url` and `--model-args` over it. ValueError names what is wrong."""
    given = {**card.config, **options.args}
    if options.base_url:
        given["base_url"] = options.base_url
    try:
        return ServerConfig.model_validate(given)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        )
        known = ", ".join(ServerConfig.model_fields)
        raise ValueError(f"model {card.name}: {problems} (a server's card has: {known})") from error


def find_key(config: ServerConfig) -> str:
    """The key for the server, from the environment; "" where none is to be sent.

    The variable that the card names must be set. Without one, OPENAI_API_KEY is sent if it is set, but
    never unencrypted to another machine, and the public API needs it. Raises ValueError for a missing key.
    """
    if config.api_key_env:
        key = os.environ.get(config.api_key_env, "")
        if not key:
            raise ValueError(
                f"{config.base_url} needs a key: set the environment variable {config.api_key_env}"
            )
        return key
    key = os.environ.get(KEY_VARIABLE, "")
    if not key and config.base_url == PUBLIC:
        raise ValueError(
            f"{config.base_url} needs a key: set {KEY_VARIABLE}; or name another server with --base-url URL"
        )
    safe = config.on_loopback or config.base_url.startswith("https://")
    return key if safe else ""
